"""What imports where a system lacks Unix's own modules (Windows), and what is said there. Windows itself is not tried
here: the modules are hidden from this Python.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from kagectl.errors import Complaint
from kagectl.service import machine
from kaged import entry

# What CPython has on no Windows.
ABSENT = ("fcntl", "grp", "posix_ipc", "pty", "pwd", "resource", "syslog", "termios", "tty", "_posixshmem")
HIDE = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
for name in {ABSENT!r}:
    sys.modules.pop(name, None)
"""


def python(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", HIDE + program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "program",
    [
        "import kagectl.client",
        "import kagectl.client.asynchronous, kagectl.client.synchronous",
        "import kagectl.main",
        "import kaged.api.v1.agent_service_pb2_grpc",
        "import kaged.entry",
    ],
)
def test_the_client_and_its_library_import_without_modules_of_unix(program: str) -> None:
    done = python(program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [["-h"], ["run", "-h"], ["agent", "-h"], ["daemon", "-h"], ["daemon", "install", "-h"], ["ps", "-h"]],
)
def test_help_teaches_there_too(words: list[str]) -> None:
    done = python(f"from kagectl.main import run; sys.exit(run({words!r}))")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: kagectl" in done.stdout


def test_kaged_says_plainly_that_it_does_not_run_there() -> None:
    done = python("sys.platform = 'win32'; from kaged.entry import main; sys.exit(main([]))")
    assert done.returncode == entry.EXIT_UNSUPPORTED
    assert done.stderr.strip() == entry.WORDS


def test_nothing_is_installed_as_a_service_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Complaint, match="does not run on Windows yet"):
        machine.look({})
    assert machine.installed({}) is None
