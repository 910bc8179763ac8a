"""Wheel and sdist: what `pip install .` gives somebody, and that two builds are the same. Needs the package index."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dist.built import REPOSITORY, environment

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        os.environ.get("KAGE_ONE_FILE", "quick") == "quick", reason="asks the package index: `make test-dist`"
    ),
]


def clone(target: Path) -> Path:
    """What somebody has who cloned the repository, with the changes of this work tree."""
    words = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target / name)
    return target


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with `pip install .` and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    source = clone(tmp_path_factory.mktemp("clone"))
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", str(source)], check=True)
    return folder


@pytest.fixture
def home(venv: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    env = environment(tmp_path)
    yield env
    subprocess.run([str(venv / "bin" / "kagectl"), "daemon", "stop", "--agents", "stop"], env=env, check=False)


def test_a_newcomer_installs_it_and_runs_something(venv: Path, home: dict[str, str]) -> None:
    def run(*words: str) -> str:
        command = [str(venv / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, env=home, capture_output=True, text=True, check=False, cwd="/", timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("kaged", "--version").startswith("kaged ")
    run("kagectl", "daemon", "start")
    assert "kaged" in run("kagectl", "version")
    assert run("kagectl", "run", "--", "echo", "hi") == "hi\n"
    run("kagectl", "daemon", "stop")


def test_a_wheel_has_all_that_is_read_at_run_time(tmp_path: Path) -> None:
    wheel, sdist = built_from(clone(tmp_path / "source"), tmp_path / "dist")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"kaged/py.typed", "kagectl/py.typed", "kaged/shim/shim.py", "kaged/api/v1/event_pb2.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"proto/kaged/api/v1/event.proto", "Makefile", "constraints.txt", "packaging/onefile/stub.c", "LICENSE"}
    assert wanted <= inside
    assert not [name for name in inside if "__pycache__" in name or name.startswith((".git/", ".venv"))]


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    first = built_from(clone(tmp_path / "one"), tmp_path / "one" / "dist")
    second = built_from(clone(tmp_path / "a" / "longer" / "place"), tmp_path / "two" / "dist")
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def built_from(source: Path, target: Path) -> tuple[Path, Path]:
    """Wheel and sdist, by the environment that `make dist` made."""
    python = REPOSITORY / "build" / "dist" / "venv" / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "hatchling", "build", "-d", str(target)], check=True, cwd=source, capture_output=True
    )
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))
