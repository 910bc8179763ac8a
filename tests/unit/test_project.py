"""The project keeps its own promises: generated code is fresh, files say what they are for, documents are not stale.

Only tracked files count, and only on a git checkout: an unpacked release has no index to ask.
"""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from kaged.config import Config
from kaged.version import __version__
from tests.protogen import generate

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^(?:```.*?^```|    .*?$)", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`((?:kaged|kagectl|tests|proto|docs|packaging|examples)/[\w./-]*\w/?)`")


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    names = (ROOT / name.decode() for name in done.stdout.split(b"\0") if name)
    return sorted(path for path in names if path.exists())


def test_generated_code_is_what_the_proto_files_make(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "kaged/api/v1").glob("*_pb2*") if path.is_file()}
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert stale == [], "run `make proto`"


def test_the_changelog_begins_with_the_version_that_this_is() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0] == __version__


def test_every_python_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _tracked("*.py")
        if "kaged/api/" not in str(path)
        and (text := path.read_text()).strip()
        and not (path.name == "__init__.py" and "tests" in path.parts)
        and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for page in _tracked("*.md"):
        text = _CODE.sub("", page.read_text())
        for target in _LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (page.parent / name).resolve() if name else page
            if not there.exists() or (anchor and there.suffix == ".md" and anchor not in _anchors(there)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_files_that_the_overview_names_exist() -> None:
    pages = ("README.md", "ARCHITECTURE.md", "docs/configuration.md", "docs/security.md", "docs/decisions/README.md")
    named = {(page, name) for page in pages for name in _NAMED.findall((ROOT / page).read_text())}
    assert sorted(pair for pair in named if not (ROOT / pair[1]).exists()) == []


def test_every_setting_is_documented_and_none_that_is_not_there() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    section = page.partition("\n## Settings\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    settings = set(Config.__dataclass_fields__) - {"state_dir"}
    assert documented == settings


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()
    assert [path.name for path in folder.glob("0*.md") if f"({path.name})" not in index] == []


def test_make_offers_what_the_readme_promises() -> None:
    promised = set(re.findall(r"\bmake ([a-z]+)`", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert promised <= targets
    assert {"demo", "test", "check", "proto", "bench", "run", "clean"} <= targets


def test_dependencies_have_tried_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [text for text in everything if ">=" not in text] == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
