"""The shim on every Python that this machine has, and what it costs there."""

import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from kaged.domain.run_records import Exited, ResizeOrder, StopOrder
from kaged.executors.local import byte_code, install_shim
from tests.fakes.runs import Runs

pytestmark = pytest.mark.integration


def interpreters() -> list[str]:
    found = []
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            found.append(name)
    return found


@pytest.mark.parametrize("name", interpreters())
def test_a_whole_run_works(name: str, tmp_path: Path) -> None:
    path = shutil.which(name)
    assert path is not None
    with Runs(tmp_path, python=path) as runs:
        plain = runs.start(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="pipe")
        plain.write(b"hello\n")
        plain.folder.close_input(6)
        found = plain.exit()
        assert isinstance(found, Exited)
        assert found.code == 3
        plain.sealed()
        assert (plain.output("out"), plain.output("err")) == (b"hello\n", b"oops\n")
        meta = plain.folder.read_meta()
        assert meta is not None
        assert meta.python.startswith(name.removeprefix("python"))
        typed = runs.start(["cat"], capture="pty", stdin="pipe")
        typed.write(b"x\n")
        typed.wait_output(b"x\r\nx\r\n")
        typed.order(ResizeOrder(rows=2, cols=2))
        typed.order(StopOrder(grace_s=0))
        assert typed.sealed().survivors == ()
        assert (plain.words(), typed.words()) == ("", "")


def test_an_installed_shim_is_the_same_files_each_time(tmp_path: Path) -> None:
    shim = install_shim(tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in shim.parent.iterdir()}
    assert set(before) == {shim, byte_code(shim)}
    assert install_shim(tmp_path) == shim
    assert before == {path: (path.read_bytes(), path.stat().st_ino) for path in shim.parent.iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_shim_is_small(tmp_path: Path) -> None:
    with Runs(tmp_path) as runs:
        started = [runs.launch(["sleep", "1000"], stdin="pipe") for _ in range(10)]
        for run in started:
            run.open().agent_pid()
        sizes_kb = []
        for run in started:
            rollup = Path(f"/proc/{run.shim_pid()}/smaps_rollup").read_text()
            (size,) = re.findall(r"^Pss: +(\d+)", rollup, re.MULTILINE)
            sizes_kb.append(int(size))
        assert statistics.mean(sizes_kb) <= 6 * 1024
