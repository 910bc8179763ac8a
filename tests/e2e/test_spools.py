"""Output on its way through the spools: recorded bytes free their disk space; too many that wait meet a policy."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2, event_pb2, spec_pb2
from tests.e2e.daemon_kit import Kaged, eventually
from tests.fakes.runs import python

pytestmark = pytest.mark.e2e

PIPE = {"stdin": spec_pb2.STDIN_MODE_PIPE}
LIMIT = 256 << 10
# Writes so many numbered lines of 64 bytes for each line of its input.
LINES = """if True:
    import sys
    n = 0
    for more in sys.stdin:
        for n in range(n, n + int(more)):
            sys.stdout.write(f"{n:063d}\\n")
        n += 1
        sys.stdout.flush()"""


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path) as it:
        yield it


def lines(start: int, end: int) -> bytes:
    """The bytes of a counting agent from one offset to another."""
    first = start // 64
    return b"".join(b"%063d\n" % n for n in range(first, -(-end // 64)))[start - first * 64 : end - first * 64]


def spool(kaged: Kaged, agent: str, channel: str = "out") -> os.stat_result:
    return os.stat(kaged.state / "runs" / f"{agent}.1" / f"{channel}.log")


def facts(kaged: Kaged, agent: str, *kinds: str) -> list[event_pb2.Event]:
    wanted = " OR ".join(f'type = "{kind}"' for kind in kinds)
    return list(kaged.read(f'agent = "{agent}" AND ({wanted})'))


def recorded(kaged: Kaged, agent: str) -> int:
    return kaged.agent(agent).run.stdout_bytes


def test_recorded_output_frees_its_disk_space_while_the_run_goes_on(kaged: Kaged) -> None:
    agent = kaged.spawn(*python(LINES), **PIPE)
    total = 0
    for _ in range(4):
        kaged.send(agent, b"100000\n")
        total += 100_000 * 64
        wait_recorded(kaged, agent, total)
        eventually(lambda: spool(kaged, agent).st_blocks * 512 <= 2 << 20, "its space to be free")
        assert spool(kaged, agent).st_size == total
    kaged.send(agent, b"3\n", eof=True)
    assert kaged.wait(agent).run.stdout_bytes == total + 3 * 64
    assert kaged.output(agent) == lines(0, total + 3 * 64)
    assert not facts(kaged, agent, "output.truncated", "output.dropped", "output.held")


def test_an_adapter_that_has_not_understood_a_line_yet_finds_it_again_after_a_kill(kaged: Kaged) -> None:
    code = """if True:
        import sys
        line = '{"type": "log", "text": "' + 'x' * 900_000
        sys.stdout.write(line + '"}\\n' + line + '"}\\n' + line); sys.stdout.flush()
        sys.stdin.readline()
        print('"}')"""
    agent = kaged.spawn(*python(code), adapter="jsonl", **PIPE)
    wait_recorded(kaged, agent, 3 * 900_000 + 2 * 27 + 24)
    eventually(lambda: spool(kaged, agent).st_blocks * 512 <= 1 << 20, "its space to be free")
    kaged.restart()
    kaged.send(agent, b"go\n", eof=True)
    kaged.wait(agent)
    assert kaged.output(agent) == (b'{"type": "log", "text": "' + b"x" * 900_000 + b'"}\n') * 3
    heard = [event.meta.type for event in kaged.read(f'agent = "{agent}" AND type: "signal.*"')]
    assert heard == ["signal.log"] * 3


def test_what_was_written_while_no_daemon_was_there_is_held_at_the_limit_and_complete_in_the_end(kaged: Kaged) -> None:
    agent = kaged.spawn(*python(LINES), limits=spec_pb2.Limits(spool_bytes=LIMIT), **PIPE)
    kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
    kaged.send(agent, b"50000\n", eof=True)
    heard(kaged, agent)
    kaged.kill()
    backlog = kaged.state / "runs" / f"{agent}.1" / "backlog.json"
    eventually(backlog.exists, "the shim to say that it holds the agent")
    held_at = spool(kaged, agent).st_size
    kaged.start()
    assert kaged.wait(agent).run.stdout_bytes == 50_000 * 64
    assert kaged.output(agent) == lines(0, 50_000 * 64)
    (held, *_) = facts(kaged, agent, "output.held")
    fact = held.meta.fact.output_held
    assert (fact.limit, fact.limit_bytes, fact.number) == ("spool_bytes", LIMIT, 1)
    assert held_at - LIMIT <= LIMIT
    assert not facts(kaged, agent, "output.dropped")


def test_a_held_agent_shows_what_holds_it(kaged: Kaged) -> None:
    """Its standard error is recorded by a daemon that cannot keep up: played by a limit on all runs together."""
    kaged.kill()
    kaged.environment["KAGED_MAX_SPOOL_BYTES"] = str(1 << 20)
    kaged.start()
    agent = kaged.spawn(*python(LINES), **PIPE)
    kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
    # Somebody else's bytes that nobody records: a run that this store does not know is left alone.
    stranger = kaged.state / "runs" / "stranger"
    stranger.mkdir()
    (stranger / "out.log").write_bytes(b"x" * (2 << 20))
    kaged.send(agent, b"50000\n")
    eventually(lambda: kaged.agent(agent).run.held_by == "max_spool_bytes", "the agent to be held")
    (stranger / "out.log").unlink()
    wait_recorded(kaged, agent, 50_000 * 64)
    eventually(lambda: not kaged.agent(agent).run.held_by, "the agent to be free")
    held, released = facts(kaged, agent, "output.held", "output.released")
    assert (held.meta.fact.output_held.number, released.meta.fact.output_released.number) == (1, 2)
    assert released.meta.fact.output_released.held_us > 0
    kaged.end(agent)


def test_an_agent_that_is_stopped_for_its_backlog_has_failed_at_that_limit(kaged: Kaged) -> None:
    limits = spec_pb2.Limits(spool_bytes=LIMIT, on_full=spec_pb2.FULL_POLICY_STOP)
    agent = kaged.spawn(*python(LINES), limits=limits, **PIPE)
    kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
    kaged.send(agent, b"5000000\n")
    heard(kaged, agent)
    kaged.kill()
    eventually((kaged.state / "runs" / f"{agent}.1" / "sealed.json").exists, "the shim to stop it")
    size = spool(kaged, agent).st_size
    kaged.start()
    ended = kaged.wait(agent)
    assert ended.state == agent_service_pb2.AGENT_STATE_FAILED
    assert (ended.outcome.reason, ended.outcome.limit) == ("limit", "spool_bytes")
    assert kaged.output(agent) == lines(0, size)


def whole(kaged: Kaged, agent: str) -> tuple[list[tuple[int, int]], int]:
    """Ranges that were given up, and the end of the output; fails unless the rest is there, each byte once."""
    at, gone = 0, list[tuple[int, int]]()
    for event in facts(kaged, agent, "output.chunk", "output.dropped"):
        if event.meta.type == "output.dropped":
            dropped = event.meta.fact.output_dropped
            assert dropped.start == at
            assert dropped.end > at
            gone.append((dropped.start, dropped.end))
            at = dropped.end
        else:
            chunk = event.meta.fact.output_chunk
            assert chunk.offset == at
            assert event.body.output == lines(at, at + chunk.length)
            at += chunk.length
    return gone, at


def test_the_oldest_output_is_given_up_while_no_daemon_is_there_and_the_journal_says_which(kaged: Kaged) -> None:
    limits = spec_pb2.Limits(spool_bytes=LIMIT, on_full=spec_pb2.FULL_POLICY_DROP_OLDEST)
    agent = kaged.spawn(*python(LINES), limits=limits, **PIPE)
    kaged.send(agent, b"1000\n")
    wait_recorded(kaged, agent, 64_000)
    kaged.kill()
    with (kaged.state / "runs" / f"{agent}.1" / "in.log").open("ab") as inputs:  # what a daemon would have done
        inputs.write(b"60000\n")
    ring(kaged, agent)
    eventually(lambda: spool(kaged, agent).st_size == 61_000 * 64, "all to be written")
    assert spool(kaged, agent).st_blocks * 512 <= LIMIT + (256 << 10)
    kaged.start()
    wait_recorded(kaged, agent, 61_000 * 64)
    (gap,), end = whole(kaged, agent)
    assert gap[0] == 64_000
    assert end - gap[1] <= LIMIT
    assert gap[1] % 64 == 0
    shown = [line for answer in logs(kaged, agent) for line in answer.lines]
    assert [line.offset for line in shown] == [*range(0, gap[0], 64), *range(gap[1], end, 64)]
    kaged.end(agent)
    kaged.stop()
    code, words = kaged.fsck()
    assert code == 0, words


@pytest.mark.parametrize("adapter", ["command", "jsonl"])
def test_no_byte_is_recorded_twice_or_vanishes_unsaid_when_daemons_die_while_output_is_given_up(
    kaged: Kaged, adapter: str
) -> None:
    limits = spec_pb2.Limits(spool_bytes=LIMIT, on_full=spec_pb2.FULL_POLICY_DROP_OLDEST)
    code = "import sys\nfor n in range(1_000_000): sys.stdout.write(f'{n:063d}\\n')"
    agent = kaged.spawn(*python(code), limits=limits, adapter=adapter)
    for _ in range(4):
        if not over(kaged, agent):
            wait_recorded(kaged, agent, recorded(kaged, agent) + 1)
        kaged.restart()
    kaged.wait(agent, deadline_s=120)
    gone, end = whole(kaged, agent)
    assert gone
    assert end == 64_000_000
    kaged.stop()
    code_, words = kaged.fsck()
    assert code_ == 0, words


def heard(kaged: Kaged, agent: str) -> None:
    """Return when the agent has begun to answer: a send is answered before it is in the run folder."""
    eventually(lambda: spool(kaged, agent).st_size, "the agent to hear what it was sent")


def wait_recorded(kaged: Kaged, agent: str, size: int) -> None:
    eventually(lambda: recorded(kaged, agent) >= size or over(kaged, agent), f"{size} bytes to be recorded")


def over(kaged: Kaged, agent: str) -> bool:
    return bool(kaged.agent(agent).outcome.reason)


def logs(kaged: Kaged, agent: str) -> Iterator[agent_service_pb2.StreamLogsResponse]:
    yield from kaged.agents.StreamLogs(agent_service_pb2.StreamLogsRequest(agent=agent), timeout=30)


def ring(kaged: Kaged, agent: str) -> None:
    bell = os.open(kaged.state / "runs" / f"{agent}.1" / "bell", os.O_WRONLY | os.O_NONBLOCK)
    os.write(bell, b"!")
    os.close(bell)


def test_a_spool_that_its_agent_cut_does_not_bring_back_the_other_one_after_a_kill(kaged: Kaged) -> None:
    agent = kaged.spawn(
        *("sh", "-c", "echo one >&2; echo two; read go; : > /dev/stdout; read go; echo three"),
        capture=spec_pb2.CAPTURE_MODE_FILE,
        **PIPE,
    )
    eventually(lambda: kaged.output(agent) == b"two\n" and kaged.output(agent, 2) == b"one\n", "its words")
    kaged.send(agent, b"\n")
    eventually(lambda: facts(kaged, agent, "output.truncated"), "the cut to be noticed")
    kaged.restart()
    kaged.send(agent, b"\n", eof=True)
    kaged.wait(agent)
    assert (kaged.output(agent), kaged.output(agent, 2)) == (b"two\nthree\n", b"one\n")


def test_a_small_limit_does_not_stall_an_agent_whose_daemon_keeps_up(kaged: Kaged) -> None:
    limits = spec_pb2.Limits(spool_bytes=64 << 10)
    agent = kaged.spawn(*python(LINES), limits=limits, **PIPE)
    kaged.send(agent, b"100000\n", eof=True)
    assert kaged.wait(agent).run.stdout_bytes == 6_400_000
    assert kaged.output(agent) == lines(0, 6_400_000)


def test_kagectl_logs_says_where_output_was_given_up(kaged: Kaged) -> None:
    limits = spec_pb2.Limits(spool_bytes=64 << 10, on_full=spec_pb2.FULL_POLICY_DROP_OLDEST)
    agent = kaged.spawn(*python(LINES), limits=limits, **PIPE)
    kaged.send(agent, b"10\n")
    wait_recorded(kaged, agent, 640)
    kaged.kill()
    with (kaged.state / "runs" / f"{agent}.1" / "in.log").open("ab") as inputs:
        inputs.write(b"60000\n")
    ring(kaged, agent)
    eventually(lambda: spool(kaged, agent).st_size == 60_010 * 64, "all to be written")
    kaged.start()
    wait_recorded(kaged, agent, 60_010 * 64)
    (gap,), end = whole(kaged, agent)
    shown = subprocess.run(
        [sys.executable, "-m", "kagectl", "--socket", str(kaged.socket), "logs", agent],
        env={**os.environ, "KAGE_STATE_DIR": str(kaged.state)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout == lines(0, gap[0]) + lines(gap[1], end)
    assert f"before byte {gap[1]} were given up" in shown.stderr.decode()
    kaged.end(agent)


def test_a_disk_that_agents_would_have_filled_while_no_daemon_was_there_has_room_to_record_it(tmp_path: Path) -> None:
    state, count = tmp_path / "state", 500_000
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m,mode=0700", "kage", str(state)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount, where it is allowed")
    try:
        with Kaged(tmp_path, environment={"KAGED_MIN_FREE_BYTES": str(8 << 20)}) as kaged:
            agent = kaged.spawn(*python(LINES), **PIPE)
            kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
            disk = os.statvfs(state)
            with (state / "filler").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, disk.f_bavail * disk.f_frsize - (36 << 20))
            kaged.send(agent, b"%d\n" % count, eof=True)
            heard(kaged, agent)
            kaged.kill()
            eventually((state / "runs" / f"{agent}.1" / "backlog.json").exists, "the shim to hold the agent")
            assert os.statvfs(state).f_bavail * disk.f_frsize >= 12 << 20
            waiting = spool(kaged, agent).st_size
            kaged.start()
            wait_recorded(kaged, agent, waiting)
            assert kaged.wait(kaged.spawn("true")).state == agent_service_pb2.AGENT_STATE_SUCCEEDED
            held = facts(kaged, agent, "output.held")[0]
            assert held.meta.fact.output_held.limit == "keep_free_bytes"
            (state / "filler").unlink()
            assert kaged.wait(agent).run.stdout_bytes == count * 64
            assert kaged.output(agent) == lines(0, count * 64)
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)
