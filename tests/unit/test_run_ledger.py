"""What `kaged fsck` says about runs."""

from dataclasses import replace

import pytest

from kaged.api.v1 import event_pb2
from kaged.domain.events import agent as facts
from kaged.store.upkeep.run_ledger import RunLedger
from kaged.store.wire.codec import Draft, encode
from kaged.store.wire.record import encode_head

RUN = "abcdefgh.1"
WANTED = facts.RunWanted(run=RUN, attempt=1, cause="spawn", ordinal=0)
STARTED = facts.RunStarted(run=RUN, shim_pid=1, shim_start_ticks=1, boot_id="b", protocol=1)
FIRST = facts.OutputChunk(run=RUN, channel="out", offset=0, stdout_end=3, stderr_end=0, masks=(), data=b"abc")
SECOND = facts.OutputChunk(run=RUN, channel="err", offset=0, stdout_end=3, stderr_end=2, masks=(), data=b"xy")
ENDED = facts.RunEnded(
    run=RUN, kind="exited", exit_code=0, signal=0, core_dumped=False, how="normal", ended_us=1, boot_id="b", cpu_us=0,
    max_rss_bytes=0, stdout_bytes=3, stderr_bytes=2, stopped_by="", survivors=0, errno=0, note="",
)  # fmt: skip
GOOD = (WANTED, STARTED, FIRST, SECOND, ENDED)


def findings(*events: facts.AgentEvent | facts.CaptureEvent) -> list[str]:
    """What the ledger says about a history."""
    ledger, found = RunLedger(), []
    for seq, event in enumerate(events, 1):
        entry = encode(
            Draft(stream="agents/abcdefgh", event=event, agent="abcdefgh", run=RUN), event_id=bytes(16), now_us=1
        )
        message = event_pb2.Event.FromString(encode_head(seq, 1, seq, 1) + entry.meta + entry.body)
        found += [what for _, what in ledger.feed(message)]
    return found


def test_a_run_that_went_as_it_should_has_no_findings() -> None:
    assert findings(*GOOD) == []


@pytest.mark.parametrize(
    ("history", "word"),
    [
        ((WANTED, STARTED, STARTED), "started twice"),
        ((WANTED, STARTED, FIRST, FIRST), "goes on at 0, not at 3"),
        ((WANTED, STARTED, replace(FIRST, offset=1)), "goes on at 1, not at 0"),
        ((WANTED, STARTED, FIRST, ENDED), "3 and 0 are recorded"),
        ((*GOOD, ENDED), "over or was never wanted"),
        ((*GOOD, SECOND), "over or was never wanted"),
        ((WANTED, WANTED), "attempt 1 after 1"),
        ((*GOOD, replace(WANTED, attempt=3)), "attempt 3 after 1"),
        ((WANTED, facts.InputAccepted(run=RUN, offset=5, length=1, eof=False, data=b"x")), "input goes on at 5"),
    ],
)
def test_a_run_that_did_not_is_named(history: tuple[facts.AgentEvent, ...], word: str) -> None:
    assert any(word in what for what in findings(*history))
