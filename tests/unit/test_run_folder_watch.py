"""Changes in run folders are noticed, once or more, by name; and processes are told apart and added up."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaged.executors.process_table import ProcessTable, carriers, kill_carriers
from kaged.executors.run_folder import RunFolder
from kaged.executors.watch import OVERFLOW, Changes, FolderWatch, InotifyWatch, StatWatch
from kaged.machine.here import HERE
from kaged.machine.linux import Linux, parse_stat
from kaged.machine.system import Process
from tests.fakes.runs import eventually

WATCHES: list[Callable[[], FolderWatch]] = [StatWatch]
if sys.platform == "linux":
    WATCHES.append(InotifyWatch)


@pytest.fixture(params=WATCHES)
def watch(request: pytest.FixtureRequest) -> Iterator[FolderWatch]:
    it: FolderWatch = request.param()
    yield it
    it.close()
    it.close()


def names(watch: FolderWatch) -> set[str]:
    return {name for _, name in watch.read().names}


def test_growth_creation_and_renaming_are_seen(watch: FolderWatch, tmp_path: Path) -> None:
    watch.add(tmp_path)
    watch.add(tmp_path)
    assert names(watch) == set()
    with (tmp_path / "out.log").open("ab", buffering=0) as file:
        assert names(watch) == {"out.log"}
        file.write(b"a")
        file.write(b"b")
        assert names(watch) == {"out.log"}
        assert names(watch) == set()
    (tmp_path / "exit.json.tmp").write_bytes(b"{}")
    (tmp_path / "exit.json.tmp").rename(tmp_path / "exit.json")
    assert "exit.json" in names(watch)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lock is asked at each scan")
def test_the_end_of_a_shim_is_told_and_a_question_to_its_lock_is_not(tmp_path: Path) -> None:
    watch = InotifyWatch()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    watch.add(tmp_path)
    RunFolder(tmp_path).is_alive()
    assert watch.read() == Changes(names=frozenset())
    os.close(lock)
    assert watch.read().closed == {(tmp_path, "lock")}
    watch.close()


def test_folders_are_told_apart_and_can_leave(watch: FolderWatch, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        watch.add(folder)
    (one / "a").touch()
    (two / "b").touch()
    assert watch.read().names == {(one, "a"), (two, "b")}
    watch.remove(one)
    watch.remove(one)
    (one / "a").write_text("x")
    (two / "b").write_text("x")
    assert watch.read().names == {(two, "b")}


def test_a_folder_that_vanishes_is_no_trouble(watch: FolderWatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    watch.add(gone)
    gone.rmdir()
    watch.read()
    watch.remove(gone)
    gone.mkdir()
    watch.add(gone)
    (gone / "again").touch()
    assert watch.read().names == {(gone, "again")}
    with pytest.raises(FileNotFoundError):
        watch.add(tmp_path / "never")


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_the_descriptor_wakes_a_loop(tmp_path: Path) -> None:
    watch = InotifyWatch()
    watch.add(tmp_path)
    fd = watch.fileno()
    assert fd is not None
    assert select.select([fd], [], [], 0)[0] == []
    (tmp_path / "x").touch()
    assert select.select([fd], [], [], 5)[0] == [fd]
    watch.close()


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_a_lost_change_says_look_everywhere(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the queue is too long to fill")
    watch = InotifyWatch()
    watch.add(tmp_path)
    a, b = (os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in "ab")
    for _ in range(limit // 2 + 2):  # in turns, or the kernel folds equal neighbours into one
        os.write(a, b"x")
        os.write(b, b"x")
    assert watch.read().look_everywhere
    assert not watch.read().look_everywhere
    assert OVERFLOW == 0x4000
    os.close(a)
    os.close(b)
    watch.close()


def test_the_stat_line_is_read_whatever_the_name_is() -> None:
    line = b"12 (a) b (c) S 3 12 9 0 -1 0 0 0 0 0 150 50 300 100 20 0 1 0 777 8192 5 18446744073709551615"
    found = parse_stat(line)
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert found == Process(
        pid=12, parent=3, session=9, state="S", start_ticks=777,
        cpu_s=200 * tick, waited_cpu_s=400 * tick, rss_bytes=5 * os.sysconf("SC_PAGE_SIZE"),
    )  # fmt: skip


def process(pid: int, parent: int, **more: float) -> Process:
    rest = {"session": 1, "start_ticks": pid, "cpu_s": 1.0, "waited_cpu_s": 0.0, "rss_bytes": 10} | more
    return Process(pid=pid, parent=parent, state="S", **rest)  # type: ignore[arg-type]


def test_a_tree_is_added_up_without_its_shim() -> None:
    table = ProcessTable(
        {
            p.pid: p
            for p in (process(1, 0), process(5, 1, waited_cpu_s=7.0), process(6, 5), process(7, 6), process(8, 1))
        }
    )
    assert [found.pid for found in table.below(5)] == [6, 7]
    usage = table.usage(5, start_ticks=5)
    assert usage is not None
    assert (usage.processes, usage.cpu_s, usage.rss_bytes) == (2, 9.0, 20)
    assert table.usage(5, start_ticks=4) is None, "the pid is somebody else's by now"
    assert table.usage(99, start_ticks=1) is None
    assert [found.pid for found in table.session(1, started_after_ticks=7)] == [7, 8]


def test_a_system_without_proc_knows_nothing(tmp_path: Path) -> None:
    nothing = Linux(tmp_path / "proc")
    assert ProcessTable(nothing.processes()).process(1) is None
    assert ProcessTable(nothing.trees([1])).process(1) is None
    assert (nothing.boot_id(), nothing.environment(1), nothing.pids()) == ("", [], [])
    assert nothing.rss_bytes() > 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_processes_that_carry_a_run_id_are_found_and_killed() -> None:
    run_id = f"carried-{os.getpid()}"
    with (
        subprocess.Popen(["sleep", "1000"], env={"KAGE_RUN_ID": run_id}) as ours,
        subprocess.Popen(["sleep", "1000"], env={"KAGE_RUN_ID": run_id + "0"}) as other,
    ):
        eventually(lambda: carriers(run_id) == [ours.pid])
        assert kill_carriers(run_id) == [ours.pid]
        assert ours.wait(10) == -9
        assert other.poll() is None
        assert len(HERE.boot_id()) == 36
        table = ProcessTable.read()
        mine = table.process(os.getpid())
        assert mine is not None
        assert other.pid in [found.pid for found in table.below(os.getpid())]
        tree = ProcessTable.read_trees([os.getpid()])
        assert other.pid in [found.pid for found in tree.below(os.getpid())]
        assert tree.process(os.getppid()) is None, "only the tree was looked at"
        other.kill()
