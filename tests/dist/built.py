"""The one file for tests: what KAGE_ONE_FILE names (`make test-dist` built it), or for "quick" one of this work tree.

The quick one differs in how it came to its packages (copied from this environment, no network) and in how hard it is
pressed; stub, interpreter and layout are the same. `another_release` makes a second version from the same tree.
"""

import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_BUILDER: Final = REPOSITORY / "packaging" / "onefile"
sys.path.insert(0, str(_BUILDER))  # a folder called "packaging" cannot be a package: there is one of that name
build, tree = importlib.import_module("build"), importlib.import_module("tree")


@dataclass(frozen=True)
class OneFile:
    """A built file and the tree that it carries."""

    path: Path
    tree: Path


def missing() -> str:
    """What this machine lacks to build it; empty when it can."""
    try:
        build.look_for_tools("cc")
        tree.ask(_interpreter())
    except tree.CannotBuild as error:
        return str(error).splitlines()[0]
    return ""


def make(work: Path) -> OneFile:
    """The one file; builds it below `work` (half a minute) unless there is one."""
    given = os.environ.get("KAGE_ONE_FILE")
    if given and given != "quick":
        path = Path(given).resolve()
        return OneFile(path, path.parents[1] / "build" / "dist" / "onefile" / "tree")
    packages = work / "packages"
    packages.mkdir(parents=True)
    for name in ("kaged", "kagectl"):
        shutil.copytree(REPOSITORY / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    for distribution in _needed("kage", set()):
        _copy(distribution, packages)
    tree.make(tree.ask(_interpreter()), packages, work / "tree", "cc")
    build.pack(work / "tree", "0.0.1", work, work / "dist" / "kage", "cc", preset=0)
    return OneFile(work / "dist" / "kage", work / "tree")


def another_release(one: OneFile, work: Path) -> OneFile:
    """The same with one byte more: another version to everything that compares them."""
    shutil.copytree(one.tree, work / "tree", copy_function=os.link)
    (work / "tree" / "licenses" / "another.txt").write_text("a newer release\n")
    build.pack(work / "tree", "0.0.2", work, work / "dist" / "kage", "cc", preset=0)
    return OneFile(work / "dist" / "kage", work / "tree")


def _interpreter() -> str:
    return getattr(sys, "_base_executable", "") or sys.executable


def _needed(name: str, seen: set[str]) -> list[importlib.metadata.Distribution]:
    """The packages below `name`, without itself."""
    found = []
    for line in importlib.metadata.requires(name) or []:
        needed = re.split(r"[^A-Za-z0-9._-]", line)[0]
        if "extra ==" in line or needed.lower() in seen:
            continue
        seen.add(needed.lower())
        found += [importlib.metadata.distribution(needed), *_needed(needed, seen)]
    return found


def _copy(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    for file in distribution.files or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(distribution.locate_file(file)), target)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of ours but what a login has; the cache below `folder`."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "TERM": "dumb", **more}


def run(*command: str | Path, env: dict[str, str], check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run to its end, from /."""
    words = [str(word) for word in command]
    return subprocess.run(words, env=env, check=check, capture_output=True, text=True, timeout=90, cwd="/")
