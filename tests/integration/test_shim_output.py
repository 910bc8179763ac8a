"""What an agent writes is in the spool, byte for byte, whatever it writes and however it ends."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from kaged.domain.run_records import Exited, RunSpec
from tests.fakes.runs import Runs, alive, eventually, python

pytestmark = pytest.mark.integration
CAPTURES = ["pipe", "file"]
assert set(CAPTURES) | {"pty"} == set(get_args(RunSpec.__annotations__["capture"]))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as it:
        yield it


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize(
    "data",
    [b"", b"no newline", b"\x00\xff\xfe binary \x80\n", b"x" * 3_000_001, b"\n" * 70_000],
    ids=["nothing", "no newline", "binary", "one huge line", "many empty lines"],
)
def test_output_is_kept_byte_for_byte(runs: Runs, data: bytes, capture: str) -> None:
    (runs.root / "data").write_bytes(data)
    run = runs.start(["cat", "data"], capture=capture)
    sealed = run.sealed()
    assert run.output() == data
    assert (sealed.out_size, sealed.err_size, sealed.unwritten) == (len(data), 0, 0)


def test_fifty_megabytes_on_both_streams_arrive_whole(runs: Runs) -> None:
    code = """if True:
        import hashlib, os, sys
        out, err = hashlib.sha256(), hashlib.sha256()
        for n in range(800):
            a, b = os.urandom(65536), os.urandom(7001)
            out.update(a); err.update(b)
            while a: a = a[os.write(1, a):]
            while b: b = b[os.write(2, b):]
        open('sums', 'w').write(out.hexdigest() + ' ' + err.hexdigest())"""
    run = runs.start(python(code))
    sealed = run.sealed()
    want_out, want_err = (runs.root / "sums").read_text().split()
    assert sealed.out_size == 800 * 65536
    assert hashlib.sha256(run.output("out")).hexdigest() == want_out
    assert hashlib.sha256(run.output("err")).hexdigest() == want_err


def test_the_two_streams_do_not_mix_unless_asked(runs: Runs) -> None:
    apart = runs.start(["sh", "-c", "echo one; echo two >&2; echo three"])
    joined = runs.start(["sh", "-c", "echo one; echo two >&2; echo three"], merge_stderr=True)
    apart.sealed()
    joined.sealed()
    assert (apart.output("out"), apart.output("err")) == (b"one\nthree\n", b"two\n")
    assert (joined.output("out"), joined.output("err")) == (b"one\ntwo\nthree\n", b"")


def test_opening_dev_stderr_again_does_not_truncate_what_was_said(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "echo first >&2; echo second > /dev/stderr; echo third > /dev/stdout; echo 4"])
    run.sealed()
    assert run.output("err") == b"first\nsecond\n"
    assert run.output("out") == b"third\n4\n"


def test_output_just_before_the_end_is_not_lost(runs: Runs) -> None:
    code = "import os; os.write(1, b'x' * 60000); os.write(2, b'y' * 60000); os.kill(os.getpid(), 9)"
    for _ in range(5):
        run = runs.start(python(code))
        run.sealed()
        assert (run.output("out"), run.output("err")) == (b"x" * 60000, b"y" * 60000)


def test_the_exit_is_known_at_once_though_a_grandchild_holds_stdout(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "(sleep 0.4; echo late) & echo early; exit 5"], linger_s=20)
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 5
    assert run.folder.read_sealed() is None, "somebody may still write"
    sealed = run.sealed()
    assert run.output() == b"early\nlate\n"
    assert (sealed.how, sealed.out_size) == ("no_children", 11)


def test_what_outlives_the_agent_beyond_the_linger_is_killed(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "sleep 1000 & echo $!; exit 0"], linger_s=0.2)
    sealed = run.sealed()
    assert sealed.how == "killed"
    assert sealed.survivors == ()
    assert not alive(int(run.output()))


def test_a_closed_stdout_does_not_end_the_agent(runs: Runs) -> None:
    code = "import os; os.close(1); os.close(2); os.read(0, 1); raise SystemExit(7)"
    run = runs.start(python(code), stdin="pipe")
    run.agent_pid()
    run.write(b"go")
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 7
    run.sealed()


def test_the_agent_gets_a_clean_process(runs: Runs) -> None:
    """Own session, default signals, no stray descriptors, its own environment and folder."""
    code = """if True:
        import os
        status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())
        print(os.getpid() == os.getsid(0) == os.getpgid(0))
        print(int(status['SigBlk'], 16), hex(int(status['SigIgn'], 16) & ~(3 << 31)))
        print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1])
        print(sorted(os.environ.items()))
        print(os.getcwd())
        print(os.readlink('/proc/self/fd/0'))"""
    folder = runs.root / "here"
    folder.mkdir()
    run = runs.start(python(code), env={"A": "b", "EMPTY": "", "ODD": "\udcff=\u00e9"}, cwd=str(folder))
    run.sealed()
    session, signals, fds, env, cwd, stdin = run.output().decode().splitlines()
    assert session == "True"
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25); nothing else may be ignored or blocked
    assert signals == f"0 {hex(1 << 12 | 1 << 24)}"
    assert fds == "[0, 1, 2]"
    want = {"A": "b", "EMPTY": "", "ODD": "\udcff=\u00e9", "KAGE_RUN_ID": run.folder.run_id}
    assert {name: value for name, value in eval(env) if name != "LC_CTYPE"} == want
    assert cwd == str(folder)
    assert stdin == "/dev/null"


def test_files_of_a_run_are_for_the_owner_only(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "umask"], stdin="pipe")
    run.sealed()
    assert run.folder.path.stat().st_mode & 0o777 == 0o700
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(run.folder.path)}
    assert set(modes.values()) == {0o600}, modes
    mask = os.umask(0o077)
    os.umask(mask)
    assert int(run.output(), 8) == mask, "the agent's own umask is not ours to change"


def test_signals_sent_to_the_shim_do_not_disturb_it(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "read x; echo $x"], stdin="pipe")
    run.agent_pid()
    for number in (1, 2, 3, 10, 12, 13, 14, 15, 20, 21, 22, 29, 34, 64):
        os.kill(run.shim_pid(), number)
    run.write(b"still here\n")
    run.sealed()
    assert run.output() == b"still here\n"


def test_an_idle_shim_uses_no_processor_time(runs: Runs) -> None:
    run = runs.start(["cat"], stdin="pipe")
    run.write(b"x\n")
    run.wait_output(b"x\n")
    path = Path(f"/proc/{run.shim_pid()}")
    eventually(lambda: b"poll" in (path / "wchan").read_bytes() or (path / "wchan").read_bytes() == b"0")
    before = (path / "status").read_text().split("voluntary_ctxt_switches:")[1].split()[0]
    other = runs.start(["sleep", "0.5"])
    other.sealed()
    after = (path / "status").read_text().split("voluntary_ctxt_switches:")[1].split()[0]
    assert int(after) - int(before) <= 1
