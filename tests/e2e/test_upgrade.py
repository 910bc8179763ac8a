"""Upgrades and downgrades: agents go on under the shim that started them, whatever daemon comes after it."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import kaged.shim
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2
from tests.e2e import other_release
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.fakes.runs import alive, python

pytestmark = pytest.mark.e2e

FROZEN = sorted((Path(__file__).parents[1] / "golden" / "shims").glob("shim-*.py"))
PIPE = {"stdin": spec_pb2.STDIN_MODE_PIPE}
BIG = "import sys\nfor n in range(60_000): sys.stdout.write(f'{n:063d}\\n')"
ALL = b"".join(b"%063d\n" % n for n in range(60_000))


class Releases(Kaged):
    """A kaged that can be started as another release: with the shim in `shim`, speaking `protocol`."""

    shim: Path | None = None
    protocol = 0

    def command(self) -> list[str]:
        command = super().command()
        return command if self.shim is None else [command[0], "-P", str(other_release.__file__), *command[3:]]

    def launch(self):
        self.environment.pop("KAGED_TEST_PROTOCOL", None)
        if self.shim is not None:
            self.environment["KAGED_TEST_SHIM"] = str(self.shim)
            if self.protocol:
                self.environment["KAGED_TEST_PROTOCOL"] = str(self.protocol)
        return super().launch()

    def become(self, shim: Path | None, protocol: int = 0) -> None:
        """kill -9, and start as this release."""
        self.kill()
        self.shim, self.protocol = shim, protocol
        self.start()


def _with(it: Releases) -> Iterator[Releases]:
    with it:
        yield it


@pytest.fixture(params=FROZEN, ids=[path.stem for path in FROZEN])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Releases]:
    """A daemon whose shims are of an earlier release."""
    folder = tmp_path / "old"
    folder.mkdir()
    shutil.copyfile(request.param, folder / "shim.py")
    it = Releases(tmp_path / "kaged")
    it.shim = folder
    yield from _with(it)


def running(kaged: Kaged, *agents: str) -> None:
    for agent in agents:
        kaged.wait_state(agent, pb.AGENT_STATE_RUNNING)


def test_the_first_shim_that_there_was_is_kept() -> None:
    assert FROZEN[0].stem == "shim-1-03b14ca"


def test_todays_daemon_adopts_speaks_with_and_reads_agents_of_an_older_shim_to_the_end(old: Releases) -> None:
    speaking = old.spawn("cat", **PIPE)
    stubborn = old.spawn(
        *python("import signal\nsignal.signal(15, signal.SIG_IGN)\nprint(1, flush=True)\nsignal.pause()")
    )
    chatty = old.spawn("sh", "-c", 'read go; exec "$@"', "sh", *python(BIG), **PIPE)
    gone = old.spawn("sh", "-c", "read go; echo out; echo err >&2; exit 3", **PIPE)
    screen = old.spawn(
        *("sh", "-c", "trap 'stty size' WINCH; echo up; while :; do read x || :; done"),
        capture=spec_pb2.CAPTURE_MODE_TERMINAL,
        terminal=spec_pb2.TerminalSize(rows=10, columns=20),
        **PIPE,
    )
    everyone = (speaking, stubborn, chatty, gone, screen)
    running(old, *everyone)
    eventually(lambda: old.output(stubborn) and old.output(screen), "first words")
    for agent in everyone:
        assert shim_text(old, agent) == (old.shim / "shim.py").read_text()  # type: ignore[operator]
    pids = {agent: old.agent(agent).run.pid for agent in everyone}
    old.send(gone, b"go\n")
    eventually((old.state / "runs" / f"{gone}.1" / "sealed.json").exists, "one of them to end")

    old.become(None)

    assert {agent: old.agent(agent).run.pid for agent in everyone} == pids
    ended = old.wait(gone)
    assert (ended.state, ended.outcome.exit_code) == (pb.AGENT_STATE_FAILED, 3)
    assert (old.output(gone), old.output(gone, 2)) == (b"out\n", b"err\n")
    old.send(speaking, b"hello\n")
    eventually(lambda: old.output(speaking) == b"hello\n", "its echo")
    old.send(chatty, b"go\n", eof=True)
    assert old.wait(chatty).state == pb.AGENT_STATE_SUCCEEDED
    assert old.output(chatty) == ALL
    size = pb.ResizeTerminalRequest(agent=screen, size=spec_pb2.TerminalSize(rows=33, columns=44))
    old.agents.ResizeTerminal(size, timeout=DEADLINE_S)
    eventually(lambda: b"33 44" in old.output(screen), "the new size")
    old.agents.SignalAgent(pb.SignalAgentRequest(agent=screen, signal="KILL", whole_tree=True), timeout=DEADLINE_S)
    assert old.wait(screen).outcome.signal == signal.SIGKILL
    assert old.end(stubborn, grace_s=0.2).run.signal == signal.SIGKILL
    old.send(speaking, b"bye\n", eof=True)
    assert old.wait(speaking).state == pb.AGENT_STATE_SUCCEEDED
    assert old.output(speaking) == b"hello\nbye\n"
    assert all(not alive(pid) for pid in pids.values())
    old.stop()
    code, words = old.fsck()
    assert code == 0, words


def test_a_shim_that_knows_no_limit_on_what_waits_loses_nothing_of_an_agent_that_has_one(old: Releases) -> None:
    limits = spec_pb2.Limits(spool_bytes=64 << 10, on_full=spec_pb2.FULL_POLICY_DROP_OLDEST)
    agent = old.spawn("sh", "-c", 'read go; exec "$@"', "sh", *python(BIG), limits=limits, **PIPE)
    running(old, agent)
    old.send(agent, b"go\n", eof=True)
    old.become(None)
    assert old.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    assert old.output(agent) == ALL


def test_the_next_run_of_an_adopted_agent_is_under_todays_shim(old: Releases) -> None:
    agent = old.spawn("sh", "-c", "read go; exit 1", restart=spec_pb2.RestartPolicy(
        type=spec_pb2.RESTART_TYPE_PERMANENT, backoff_off=True, intensity=1), **PIPE)  # fmt: skip
    running(old, agent)
    old.become(None)
    old.send(agent, b"go\n")
    eventually(lambda: old.agent(agent).run.attempt == 2 and old.agent(agent).run.pid, "the second run")
    assert shim_text(old, agent, 2) == Path(kaged.shim.__path__[0], "shim.py").read_text()
    old.end(agent)


def shim_text(kaged_: Kaged, agent: str, attempt: int = 1) -> str:
    """The program of a run's shim, found by its command line."""
    mark = os.fsencode(kaged_.state / "runs" / f"{agent}.{attempt}")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in words:
            return Path(os.fsdecode(words[words.index(mark) - 1])).with_name("shim.py").read_text()
    raise AssertionError(f"no shim of {agent}")


# --- a release to come ---------------------------------------------------------------------------------------


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[Releases]:
    """A daemon of a release to come, whose run folders this one cannot read: protocol 2, other words for an end."""
    folder = tmp_path / "newer"
    folder.mkdir()
    text = Path(kaged.shim.__path__[0], "shim.py").read_text()
    assert text.count("PROTOCOL = 1") == 1
    (folder / "shim.py").write_text(text.replace("PROTOCOL = 1", "PROTOCOL = 2"))
    it = Releases(tmp_path / "kaged")
    it.shim, it.protocol = folder, 2
    yield from _with(it)


def test_a_run_of_a_newer_protocol_is_left_alone_and_the_newer_daemon_goes_on_with_it(newer: Releases) -> None:
    shim = newer.shim
    agent = newer.spawn("cat", **PIPE)
    running(newer, agent)
    newer.send(agent, b"one\n")
    eventually(lambda: newer.output(agent) == b"one\n", "its echo")
    pid = newer.agent(agent).run.pid

    newer.become(None)

    eventually(lambda: newer.agent(agent).run.set_aside, "it to be set aside")
    assert alive(pid)
    assert newer.agent(agent).state == pb.AGENT_STATE_RUNNING
    (event,) = newer.read(f'agent = "{agent}" AND type = "run.set_aside"')
    assert (event.meta.fact.run_set_aside.protocol, event.meta.fact.run_set_aside.spoken) == (2, 1)
    answer = refused(lambda: newer.send(agent, b"two\n"))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "RUN_SET_ASIDE")
    other = newer.spawn("echo", "hi")
    assert newer.wait(other).state == pb.AGENT_STATE_SUCCEEDED
    newer.restart()
    assert len(list(newer.read(f'agent = "{agent}" AND type = "run.set_aside"'))) == 1

    newer.become(shim, 2)

    newer.send(agent, b"two\n", eof=True)
    ended = newer.wait(agent)
    assert (ended.state, ended.run.pid, ended.run.set_aside) == (pb.AGENT_STATE_SUCCEEDED, pid, False)
    assert newer.output(agent) == b"one\ntwo\n"


def test_a_run_of_a_newer_protocol_that_is_gone_is_given_up_only_when_somebody_asks(newer: Releases) -> None:
    agent = newer.spawn("sh", "-c", "read go; echo done", **PIPE)
    running(newer, agent)
    newer.become(None)
    eventually(lambda: newer.agent(agent).run.set_aside, "it to be set aside")
    os.kill(newer.agent(agent).run.pid, signal.SIGKILL)
    eventually((newer.state / "runs" / f"{agent}.1" / "sealed.json").exists, "its end")
    newer.restart()
    assert newer.agent(agent).state == pb.AGENT_STATE_RUNNING
    ended = newer.end(agent)
    assert (ended.state, ended.run.end_kind) == (pb.AGENT_STATE_CANCELLED, "lost")
    newer.stop()
    code, words = newer.fsck()
    assert code == 0, words
