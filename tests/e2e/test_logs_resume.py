"""Following output over deaths of the daemon: each line once, in order, whatever was cut off where."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.e2e.api_words import refused, stream
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.tree_words import apply, child, node, stop, supervisor, up, verb

pytestmark = pytest.mark.e2e

PIPE = {"stdin": spec_pb2.STDIN_MODE_PIPE}
CAT = ("sh", "-c", "cat; echo last >&2")


def _answers(kaged: Kaged, request: pb.StreamLogsRequest) -> Iterator[pb.StreamLogsResponse]:
    with stream(kaged.agents.StreamLogs(request, timeout=DEADLINE_S)) as call:
        yield from call


def test_a_follower_that_comes_again_with_the_place_it_was_given_gets_the_rest_of_its_line(kaged):
    agent = kaged.spawn(*CAT, **PIPE)
    kaged.send(agent, b"one\ntwo\nthr")
    request = pb.StreamLogsRequest(agent=agent, follow=True)
    first = next(_answers(kaged, request))
    assert [line.data for line in first.lines] == [b"one", b"two"]
    kaged.restart()
    kaged.send(agent, b"ee\nfour\n", eof=True)
    request.after_seq, request.skip_lines = first.after_seq, first.skip_lines
    rest = [line for answer in _answers(kaged, request) for line in answer.lines]
    assert [line.data for line in rest if line.channel == 1] == [b"three", b"four"]
    assert [line.offset for line in rest if line.channel == 1] == [8, 14]
    assert [line.data for line in rest if line.channel == 2] == [b"last"]
    kaged.wait(agent)


def test_whoever_comes_after_the_end_is_told_nothing_and_is_not_kept(kaged):
    agent = kaged.spawn("echo", "hi")
    kaged.wait(agent)
    answers = list(_answers(kaged, pb.StreamLogsRequest(agent=agent, follow=True)))
    assert [line.data for answer in answers for line in answer.lines] == [b"hi"]
    head = kaged.agent(agent).as_of_seq
    assert list(_answers(kaged, pb.StreamLogsRequest(agent=agent, follow=True, after_seq=head))) == []


def test_following_a_child_of_a_tree_ends_when_it_is_stopped(kaged):
    apply(kaged, "followed", supervisor(child("a", "sh", "-c", "echo hi; exec sleep 1000")))
    up(kaged, "followed")
    agent = node(kaged, "followed", "a").agent
    eventually(lambda: kaged.output(agent) == b"hi\n", "its word")
    answers = _answers(kaged, pb.StreamLogsRequest(agent=agent, follow=True))
    assert [line.data for line in next(answers).lines] == [b"hi"]
    verb(kaged, "TerminateChild", "followed", "a")
    assert list(answers) == []
    stop(kaged, "followed")


def test_places_that_make_no_sense_are_refused(kaged):
    agent = kaged.spawn("true")
    kaged.wait(agent)
    both = pb.StreamLogsRequest(agent=agent, after_seq=1, tail_lines=1)
    assert refused(lambda: list(_answers(kaged, both))).fields == ("tail_lines",)
    ahead = refused(lambda: list(_answers(kaged, pb.StreamLogsRequest(agent=agent, after_seq=1 << 40))))
    assert (ahead.code, ahead.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_IN_FUTURE")


@pytest.mark.parametrize("raw", [False, True])
def test_kagectl_logs_follow_loses_and_repeats_nothing_over_three_kills_of_the_daemon(
    tmp_path: Path, raw: bool
) -> None:
    count = 30_000
    code = (
        "import sys, time\n"
        f"for number in range({count}):\n"
        "    sys.stdout.write(f'{number}\\n' if number % 7 else f'{number}'); sys.stdout.flush()\n"
        "    if number % 7 == 0: sys.stdout.write('\\n')\n"
        "    if number % 100 == 0: print(number, file=sys.stderr, flush=True); time.sleep(0.01)\n"
    )
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn(sys.executable, "-c", code)
        kagectl = [sys.executable, "-m", "kagectl", "--socket", str(kaged.socket)]
        environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "KAGE_STATE_DIR": str(kaged.state)}
        with subprocess.Popen(
            [*kagectl, "logs", "-f", *(["--raw"] if raw else []), agent],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=Path.cwd(),
        ) as following:
            for part in (1, 2, 3):
                with contextlib.suppress(grpc.RpcError):
                    eventually(lambda part=part: len(kaged.output(agent)) > part * 40_000 or None, "some output")
                kaged.restart()
            out, err = following.communicate(timeout=DEADLINE_S * 2)
        assert following.returncode == 0, err[-2000:]
        assert out == b"".join(b"%d\n" % number for number in range(count))
        assert err == b"".join(b"%d\n" % number for number in range(0, count, 100))
