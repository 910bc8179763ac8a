"""Far too many subscribers, who do not even read: refused politely past the limit, and nothing is left of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from kaged.api.v1 import daemon_service_pb2, event_pb2, event_service_pb2
from tests.e2e.daemon_kit import Kaged, eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

LIMIT = 1000
OVER = 50


def append(kaged: Kaged, count: int) -> None:
    """So many events of a kilobyte."""
    event = event_pb2.NewEvent(
        meta=event_pb2.Meta(stream="notes", type="test.noted"),
        body=event_pb2.Body(custom=event_pb2.CustomPayload(data=bytes(1000))),
    )
    kaged.events.AppendEvents(event_service_pb2.AppendEventsRequest(events=[event] * count), timeout=30)


def rss_bytes(kaged: Kaged) -> int:
    return int(kaged.daemon.GetStats(daemon_service_pb2.GetStatsRequest(), timeout=30).rss_bytes)


def subscribers(kaged: Kaged) -> int:
    return int(kaged.daemon.GetStatus(daemon_service_pb2.GetStatusRequest(), timeout=30).status.subscribers)


def test_a_thousand_slow_subscribers_cost_bounded_memory_and_those_over_the_limit_are_refused(tmp_path: Path) -> None:
    with Kaged(tmp_path, environment={"KAGED_MAX_SUBSCRIBERS": str(LIMIT)}) as kaged:
        append(kaged, 10)
        before = rss_bytes(kaged)
        command = [sys.executable, "-m", "tests.faults.crowd", str(kaged.socket), kaged.token, str(LIMIT + OVER)]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert crowd.stdout is not None
            assert crowd.stdout.readline().split() == ["held", str(LIMIT), "SUBSCRIBER_LIMIT", str(OVER)]
            assert subscribers(kaged) == LIMIT
            cost = []
            for _ in range(2):
                for _ in range(3):  # 3 MB, which nobody takes: 3 GB for all of them
                    append(kaged, 1000)
                cost.append(rss_bytes(kaged) - before)
            assert kaged.wait(kaged.spawn("true")).outcome.exit_code == 0
            # What is parked for each is one message, however much there is to send.
            assert cost[0] < LIMIT << 20
            assert cost[1] - cost[0] < 50 << 20
        finally:
            crowd.kill()
            crowd.communicate()
        eventually(lambda: subscribers(kaged) == 0, "the subscriptions of a client that is gone to end")
