"""What runs from the one file is Kage as it is elsewhere: one process, no trace in agents, upgrades included."""

# mypy: disable-error-code="no-untyped-call"
# (generated stubs are untyped)

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2, spec_pb2
from kaged.domain.run_records import Exited, ResizeOrder, StopOrder
from tests.dist.built import OneFile, environment, run
from tests.dist.conftest import OneFileKaged
from tests.e2e.daemon_kit import DEADLINE_S, eventually
from tests.fakes.runs import Runs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
BARE = Path(__file__).with_name("bare.sh")


def can_make_namespaces() -> bool:
    words = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--pid", "--fork", "true"]
    return (
        shutil.which("unshare") is not None and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_make_namespaces(), reason="no namespaces of one's own here")
def test_it_runs_where_there_is_no_python_and_no_library(one: OneFile, tmp_path: Path) -> None:
    script = """
        kagectl daemon start &&
        kagectl run -- sh -c 'echo from an agent; exit 3'; echo "code $?"
        kagectl run -d --name long -- sleep 1000 >/dev/null
        kagectl ps -q; kagectl agent stop long >/dev/null; kagectl daemon stop && kagectl fsck
    """
    done = run("sh", BARE, tmp_path / "root", one.path, "sh", "-c", script, env=environment(tmp_path), check=False)
    assert "from an agent\ncode 3\n" in done.stdout, done.stderr
    assert "no fault found" in done.stdout, done.stderr
    assert not list((tmp_path / "root").glob("usr/bin/python*"))


def test_the_process_that_is_started_is_the_one_that_serves(kaged: OneFileKaged) -> None:
    process = kaged.launch()
    kaged.wait_serving()
    proc = Path(f"/proc/{process.pid}")
    assert (proc / "comm").read_text() == "kaged\n"
    assert (proc / "cmdline").read_bytes().decode().split("\0")[:-1] == kaged.command()  # as it was called
    assert Path(os.readlink(proc / "exe")).is_relative_to(kaged.cache)
    assert not (proc / "task" / str(process.pid) / "children").read_text().split()
    kaged.kill()
    assert kaged.carriers() == []


def test_agents_see_nothing_of_it(kaged: OneFileKaged) -> None:
    kaged.environment |= {"LD_LIBRARY_PATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"}
    kaged.start()
    agent = kaged.spawn("sh", "-c", "env; ls -l /proc/self/fd")
    assert kaged.wait(agent).outcome.exit_code == 0
    said = kaged.output(agent).decode()
    assert "_KAGE_FILE" not in said
    assert "LC_CTYPE" not in said
    assert "/cache/kage-" not in said
    for name in ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH"):
        assert f"{name}=/nowhere\n" in said or f"{name}=" not in said  # the person's own, or none


def test_a_shim_outlives_the_version_that_started_it(kaged: OneFileKaged, newer: OneFile) -> None:
    kaged.start()
    (older,) = kaged.versions()
    waits = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE)
    ends = kaged.spawn("sh", "-c", "read line; exit 7", stdin=spec_pb2.STDIN_MODE_PIPE)
    typed = kaged.spawn("cat", stdin=spec_pb2.STDIN_MODE_PIPE, capture=spec_pb2.CAPTURE_MODE_TERMINAL)
    for agent in (waits, ends, typed):
        kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_RUNNING)
    kaged.kill()
    kaged.use(newer)
    kaged.start()
    assert len(kaged.versions()) == 2
    shutil.rmtree(older)
    kaged.send(waits, b"still here\n")
    eventually(lambda: kaged.output(waits) == b"still here\n", "the older shim to go on")
    kaged.send(ends, b"go\n")
    assert kaged.wait(ends).outcome.exit_code == 7
    size = spec_pb2.TerminalSize(rows=9, columns=9)  # the first one: the shim imports what that needs only now
    kaged.agents.ResizeTerminal(agent_service_pb2.ResizeTerminalRequest(agent=typed, size=size), timeout=DEADLINE_S)
    for agent in (waits, typed):
        assert kaged.end(agent, grace_s=5).state == agent_service_pb2.AGENT_STATE_CANCELLED
    again = kaged.spawn("sh", "-c", "exit 5")
    assert kaged.wait(again).outcome.exit_code == 5


def test_a_daemon_goes_on_starting_agents_when_its_folder_is_removed(kaged: OneFileKaged) -> None:
    kaged.start()
    shutil.rmtree(kaged.cache)
    assert kaged.wait(kaged.spawn("sh", "-c", "exit 5")).outcome.exit_code == 5
    kaged.restart()  # unpacks again
    assert kaged.wait(kaged.spawn("sh", "-c", "exit 6")).outcome.exit_code == 6


def test_the_copy_for_shims_does_all_that_a_shim_does(kaged: OneFileKaged, tmp_path: Path) -> None:
    kaged.start()
    (copy,) = (kaged.state / "shim").glob("python-*/bin/python3")
    (tmp_path / "here").mkdir()
    with Runs(tmp_path / "here", python=str(copy)) as runs:
        plain = runs.start(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="pipe")
        plain.write(b"hello\n")
        plain.folder.close_input(6)
        found = plain.exit()
        assert isinstance(found, Exited)
        assert found.code == 3
        typed = runs.start(["cat"], capture="pty", stdin="pipe")
        typed.write(b"x\n")
        typed.wait_output(b"x\r\nx\r\n")
        typed.order(ResizeOrder(rows=2, cols=2))
        typed.order(StopOrder(grace_s=0))
        assert typed.sealed().survivors == ()
        assert (plain.words(), typed.words()) == ("", "")


def test_every_module_of_ours_can_be_imported(one: OneFile, tmp_path: Path) -> None:
    folder = run(one.path, "--unpack", env=environment(tmp_path)).stdout.strip()
    code = (
        "import importlib, pkgutil, kaged, kagectl\n"
        "for package in (kaged, kagectl):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not found.name.endswith(('__main__', 'shim.shim')):\n"
        "            importlib.import_module(found.name)\n"
    )
    env = environment(tmp_path, PYTHONHOME="/nowhere", LD_LIBRARY_PATH="/nowhere")
    assert run(f"{folder}/bin/python3", "-c", code, env=env).stderr == ""


def test_help_and_errors_are_the_same_as_elsewhere(one: OneFile, tmp_path: Path) -> None:
    for words in (["kagectl", "--help"], ["kagectl", "run", "--help"], ["kaged", "--help"], ["kagectl", "nonsense"]):
        ours = run(one.path, *words, env=environment(tmp_path), check=False)
        plain = subprocess.run(
            [sys.executable, "-m", *words], env=environment(tmp_path), capture_output=True, text=True, check=False,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_service_is_told_the_file_and_not_the_folder(one: OneFile, tmp_path: Path) -> None:
    link = tmp_path / "kage"
    link.symlink_to(one.path)
    code = "from kagectl.service.program import this_program; import os; print(this_program(None, os.environ))"
    folder = Path(run(one.path, "--unpack", env=environment(tmp_path)).stdout.strip())
    entry = ["-X", f"kage_file={one.path}", "-c"]
    said = run(
        f"{folder}/bin/python3", *entry, f"import sys; sys.argv[0] = '{link}'; {code}", env=environment(tmp_path)
    )
    assert said.stdout == f"{(str(link), 'kaged')}\n"
