"""docs/promises.md names the test behind each promise: each of them is there, and no promise is without one."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "promises.md").read_text("utf-8")
NAMED = re.compile(r"`([a-z0-9_]+/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_promises_name_is_there() -> None:
    missing = []
    for file, name in NAMED.findall(PAGE):
        path = TESTS / file
        text = path.read_text("utf-8") if path.exists() else ""
        if not re.search(rf"^(?:(?:async )?def {name}\(|class {name}\b|{name}\b.*=)", text, re.MULTILINE):
            missing.append(f"{file}::{name}")
    assert missing == []
    assert len(NAMED.findall(PAGE)) > 60


def test_every_promise_and_every_claim_has_a_test_or_says_that_it_is_not_true_yet() -> None:
    chapters = re.split(r"^### ", PAGE.partition("\n## What tools")[0], flags=re.MULTILINE)[1:]
    assert [int(chapter.partition(".")[0]) for chapter in chapters] == list(range(1, 11))
    assert [chapter for chapter in chapters if not NAMED.search(chapter)] == []
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| claim")]
    assert len(rows) == 14
    assert [row for row in rows if not (NAMED.search(row) or "**Not" in row or "promise" in row)] == []


def test_every_name_in_backticks_that_looks_like_a_test_is_one_that_is_looked_for() -> None:
    assert len(re.findall(r"::", PAGE)) == len(NAMED.findall(PAGE)) + PAGE.count("`file::test`")
