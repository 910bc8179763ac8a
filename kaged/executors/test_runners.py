"""Finds how a project runs its own tests, by its files: the first that fits. Reads, runs nothing.

What the project says itself (a make target, a script of its package) goes before what its language does by custom.
"""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

Command = tuple[str, ...]
_READ_BYTES: Final = 256 << 10


def find(folder: Path) -> Command:
    """The command, to be run in the folder; empty when none is found."""
    for rule in _RULES:
        command = rule(folder)
        if command:
            return command
    return ()


def _make(folder: Path) -> Command:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if re.search(r"^(?:test|check)\s*:(?!=)", text := _text(folder / name), re.MULTILINE):
            return ("make", "test" if re.search(r"^test\s*:(?!=)", text, re.MULTILINE) else "check")
    return ()


def _just(folder: Path) -> Command:
    for name in ("justfile", "Justfile", ".justfile"):
        if re.search(r"^@?test\b(?!\s*:=)[^\n:]*:(?!=)", _text(folder / name), re.MULTILINE):
            return ("just", "test")
    return ()


def _node(folder: Path) -> Command:
    with contextlib.suppress(ValueError, AttributeError):
        script = json.loads(_text(folder / "package.json") or "{}").get("scripts", {}).get("test", "")
        if not script or "no test specified" in script:
            return ()
        for lock, program in (
            ("pnpm-lock.yaml", "pnpm"),
            ("yarn.lock", "yarn"),
            ("bun.lock", "bun"),
            ("bun.lockb", "bun"),
        ):
            if (folder / lock).exists():
                return (program, "run", "test")
        return ("npm", "test")
    return ()


def _python(folder: Path) -> Command:
    named = (folder / "tox.ini").exists() or "[tool.tox" in _text(folder / "pyproject.toml")
    pytest = any(
        (
            (folder / "pytest.ini").exists(),
            (folder / "conftest.py").exists(),
            "[tool.pytest" in _text(folder / "pyproject.toml"),
            "[tool:pytest]" in _text(folder / "setup.cfg"),
            any(
                (folder / place).is_dir() and _any(folder / place, "test_*.py", "*_test.py")
                for place in ("tests", "test")
            ),
            _any(folder, "test_*.py", "*_test.py"),
        )
    )
    if pytest:
        own = next((path for path in (".venv/bin/python", "venv/bin/python") if (folder / path).exists()), "")
        if own:
            return (f"./{own}", "-m", "pytest", "-q")
        if (folder / "uv.lock").exists():
            return ("uv", "run", "pytest", "-q")
        if (folder / "poetry.lock").exists():
            return ("poetry", "run", "pytest", "-q")
        return ("python3", "-m", "pytest", "-q")
    return ("tox", "-q") if named else ()


def _any(folder: Path, *patterns: str) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _by_file(name: str, *command: str) -> Callable[[Path], Command]:
    return lambda folder: command if (folder / name).exists() else ()


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_READ_BYTES)
    except OSError:
        return ""


_RULES: Final[tuple[Callable[[Path], Command], ...]] = (
    _make,
    _just,
    _node,
    _by_file("Cargo.toml", "cargo", "test", "--quiet"),
    _by_file("go.mod", "go", "test", "./..."),
    _python,
    _by_file("gradlew", "./gradlew", "test"),
    _by_file("build.gradle", "gradle", "test"),
    _by_file("pom.xml", "mvn", "-q", "test"),
    _by_file("mix.exs", "mix", "test"),
    _by_file("Rakefile", "rake", "test"),
    _by_file(".rspec", "rspec"),
    _by_file("Package.swift", "swift", "test"),
    _by_file("deno.json", "deno", "test"),
    _by_file("build.zig", "zig", "build", "test"),
    _by_file("CMakePresets.json", "ctest"),
)
