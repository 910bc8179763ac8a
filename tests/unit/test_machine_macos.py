"""The macOS half of what is asked of the system: what it parses, with texts and bytes of the documented forms. Where
Linux has the same thing (ps), the two are compared on this machine; nothing here ran on a Mac.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.executors.process_table import ProcessTable
from kaged.machine.here import HERE, system_of
from kaged.machine.linux import Linux
from kaged.machine.macos import Macos, parse_arguments, parse_line, parse_time
from tests.e2e.daemon_kit import eventually


class Kernel:
    """A sysctl that knows what it was told."""

    def __init__(self, names: Mapping[bytes, bytes], arguments: Mapping[int, bytes]) -> None:
        self._names = names
        self._arguments = arguments

    def by_name(self, name: bytes) -> bytes:
        if name not in self._names:
            raise OSError(2, "no such name")
        return self._names[name]

    def arguments(self, pid: int) -> bytes:
        if pid not in self._arguments:
            raise OSError(22, "not yours")
        return self._arguments[pid]


def arguments(path: bytes, words: list[bytes], environment: list[bytes], padding: int = 3) -> bytes:
    """What KERN_PROCARGS2 gives."""
    entries = b"".join(entry + b"\0" for entry in (*words, *environment))
    return len(words).to_bytes(4, "little") + path + b"\0" * (1 + padding) + entries + b"\0stack_guard=1\0"


def test_a_boot_has_the_name_that_the_kernel_gives_it_or_none() -> None:
    uuid = b"6F0F9A54-5E0B-4B8B-9C2E-2C7B5B0C8A11"
    assert Macos(Kernel({b"kern.bootsessionuuid": uuid + b"\0"}, {})).boot_id() == uuid.decode()
    assert Macos(Kernel({}, {})).boot_id() == ""


texts = st.binary(min_size=1, max_size=20).filter(lambda word: b"\0" not in word)
entries = st.tuples(st.sampled_from([b"A", b"KAGE_RUN_ID", b"PATH"]), texts).map(lambda pair: b"=".join(pair))


@given(st.lists(texts, max_size=4), st.lists(entries, max_size=4), st.integers(0, 7))
def test_an_environment_is_told_from_the_arguments_before_it(
    words: list[bytes], environment: list[bytes], padding: int
) -> None:
    assert parse_arguments(arguments(b"/bin/x", words or [b"x"], environment, padding)) == environment


@pytest.mark.parametrize("data", [b"", b"\1\0", b"\1\0\0\0", b"\377\377\377\377/bin/x\0\0x\0A=1\0\0"])
def test_half_an_answer_is_no_environment(data: bytes) -> None:
    assert parse_arguments(data) == []


def test_a_process_is_killed_only_if_its_environment_carries_the_mark() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        named = arguments(b"/bin/sleep", [b"sleep", b"KAGE_RUN_ID=r1"], [b"HOME=/x"])  # named by an argument only
        carries = arguments(b"/bin/sleep", [b"sleep", b"600"], [b"HOME=/x", b"KAGE_RUN_ID=r1"])
        assert not Macos(Kernel({}, {})).kill_if(process.pid, b"KAGE_RUN_ID=r1")
        assert not Macos(Kernel({}, {process.pid: named})).kill_if(process.pid, b"KAGE_RUN_ID=r1")
        assert not Macos(Kernel({}, {process.pid: carries})).kill_if(process.pid, b"KAGE_RUN_ID=r11")
        assert process.poll() is None
        assert Macos(Kernel({}, {process.pid: carries})).kill_if(process.pid, b"KAGE_RUN_ID=r1")
        assert process.wait(10) == -9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:00.03", 0.03), ("12:34.50", 754.5), ("01:02:03", 3723.0), ("1-02:03:04", 93784.0), ("00:00:00", 0.0)],
)
def test_times_of_ps_are_read_in_both_of_its_forms(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


def test_a_line_of_a_macs_ps_is_a_process_and_anything_else_is_none() -> None:
    found = parse_line("  501     1   501 Ss     0:01.25   12345")
    assert found is not None
    assert (found.pid, found.parent, found.state, found.cpu_s, found.rss_bytes) == (501, 1, "S", 1.25, 12345 * 1024)
    for line in ("", "ps: illegal option", "1 2 3", "a b c d e f"):
        assert parse_line(line) is None


@pytest.mark.skipif(shutil.which("ps") is None or sys.platform != "linux", reason="needs Linux and ps")
def test_ps_and_proc_tell_the_same_tree_of_processes() -> None:
    """The same columns of Linux' own ps."""
    ps = Macos(Kernel({}, {}), table=(str(shutil.which("ps")), "-axo", "pid=,ppid=,pgid=,stat=,time=,rss="))
    with subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600 & wait"], start_new_session=True) as shell:
        try:
            eventually(lambda: len(ProcessTable(Linux().processes()).below(shell.pid)) == 2, "the children")
            theirs, ours = ProcessTable(ps.processes()), ProcessTable(Linux().processes())
            assert sorted(p.pid for p in theirs.below(shell.pid)) == sorted(p.pid for p in ours.below(shell.pid))
            usage = theirs.usage(shell.pid, 0)  # a shim on macOS says 0: it has no start time either
            assert usage is not None
            assert usage.processes == 2
            assert usage.rss_bytes > 0
            me = ps.processes()[os.getpid()]
            assert me.parent == os.getppid()
            assert me.rss_bytes > 1 << 20
        finally:
            os.killpg(shell.pid, 9)


def test_without_ps_nothing_is_known_and_nothing_is_hit() -> None:
    blind = Macos(Kernel({}, {}), table=("/nowhere/ps",))
    assert blind.processes() == {}
    assert ProcessTable(blind.trees([1])).usage(1, 0) is None


def test_each_platform_gets_its_half() -> None:
    assert isinstance(system_of("darwin"), Macos)
    assert isinstance(system_of("linux"), Linux)
    assert isinstance(system_of("freebsd14"), Linux)  # no /proc there: it knows nothing, and says so
    assert isinstance(HERE, Linux if sys.platform != "darwin" else Macos)
