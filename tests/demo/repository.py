"""The repository that the agents work in: a small shop in Python, three bugs, three failing tests.

Made with real git, away from the user's own git settings. Work trees are Kage's to make, and to merge.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

JOBS: Final = ("prices", "stock", "pages")
GIT_ENV: Final[Mapping[str, str]] = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Kage demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "Kage demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
}

_FILES: Final = {
    "shop/__init__.py": '"""A shop."""\n',
    "shop/prices.py": '''"""What a thing costs. All amounts are cents."""


def discounted(price: int, percent: int) -> int:
    """The price after a discount, rounded down."""
    return price + price * percent // 100
''',
    "shop/stock.py": '''"""What can be sent today."""


def can_ship(wanted: int, on_hand: int, reserved: int) -> bool:
    """Whether there is enough that nobody else was promised."""
    free = on_hand - reserved
    if wanted < 1 or wanted > 500:
        return False
    return wanted < free
''',
    "shop/pages.py": '''"""How a long invoice is cut into pages."""


def page_count(lines: int, per_page: int, cover: int = 1) -> int:
    """Pages for so many lines, a cover sheet for more than three pages included."""
    if lines <= 0:
        return 0
    if lines > 9000:
        lines = 9000
    if per_page < 5:
        per_page = 5
    pages = (lines + per_page - 2) // per_page
    return pages + cover if pages > 3 else pages
''',
    "tests/__init__.py": "",
    "tests/test_prices.py": """import unittest

from shop.prices import discounted


class Prices(unittest.TestCase):
    def test_ten_percent_off(self):
        self.assertEqual(discounted(2000, 10), 1800)

    def test_no_discount(self):
        self.assertEqual(discounted(1999, 0), 1999)

    def test_rounded_down(self):
        self.assertEqual(discounted(999, 50), 500)
""",
    "tests/test_stock.py": """import unittest

from shop.stock import can_ship


class Stock(unittest.TestCase):
    def test_the_last_one_can_be_shipped(self):
        self.assertTrue(can_ship(3, 5, 2))

    def test_what_is_promised_stays(self):
        self.assertFalse(can_ship(4, 5, 2))

    def test_limits_of_an_order(self):
        self.assertEqual([can_ship(n, 900, 0) for n in (0, 1, 500, 501)], [False, True, True, False])
""",
    "tests/test_pages.py": """import unittest

from shop.pages import page_count


class Pages(unittest.TestCase):
    def test_full_pages(self):
        self.assertEqual([page_count(n, 10) for n in (0, 10, 20)], [0, 1, 2])

    def test_one_line_more_is_a_page_more(self):
        self.assertEqual([page_count(n, 10) for n in (1, 11, 21)], [1, 2, 3])

    def test_cover(self):
        self.assertEqual(page_count(31, 10), 5)

    def test_small_paper(self):
        self.assertEqual([page_count(n, 2) for n in (4, 5, 6)], [1, 1, 2])
""",
}


_BUGS: Final = {"prices": "price + price", "stock": "wanted < free", "pages": "per_page - 2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """What the whole test suite said."""

    passed: bool
    last_line: str


class Repository:
    """A repository in `folder/shop`."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "shop"

    def make(self) -> None:
        """Files and a first commit on `main`, which is checked out."""
        for name, text in _FILES.items():
            path = self.main / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", "a shop with three bugs")
        for key in ("user.name", "user.email"):  # for the merges that kaged makes
            self._git("config", key, GIT_ENV["GIT_COMMITTER_" + key.partition(".")[2].upper()])

    def test(self) -> SuiteResult:
        """Run all tests on the main branch."""
        command = [sys.executable, "-B", "-m", "unittest", "discover", "-t", ".", "-s", "tests"]
        done = subprocess.run(command, cwd=self.main, capture_output=True, text=True, check=False)
        lines = done.stderr.strip().splitlines() or ["no report"]
        return SuiteResult(passed=done.returncode == 0, last_line=lines[-1])

    def bug_line(self, job: str) -> int:
        """Where a person who knows the code would look."""
        lines = _FILES[f"shop/{job}.py"].splitlines()
        return next(number for number, line in enumerate(lines, 1) if _BUGS[job] in line)

    def subjects(self) -> list[str]:
        """What is on `main` beside the first commit, oldest first."""
        return self._git("log", "--no-merges", "--reverse", "--format=%h %s", "main").splitlines()[1:]

    def clean(self) -> bool:
        """Whether every file is as it was committed."""
        return not self._git("status", "--porcelain").strip()

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.main), *arguments]
        environment = {**os.environ, **GIT_ENV}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
