"""A small agent without a language model: it repairs a failing test by search, and speaks jsonl to Kage.

    python agent.py --test tests.test_prices --transcript FILE

It works in turns. In each it runs the test, reads the module that the test imports, and edits it for real: one small
edit at a time (`edits.py`), the tests run after each, undone when they still fail. After `_EDITS_A_TURN` it ends its
turn and waits for the words that begin the next one; a place that they name (`shop/pages.py:12`) is tried first. When
the tests pass it asks before it commits (docs/jsonl-protocol.md), and commits only when told so.

Every byte it writes to standard output and standard error goes to FILE.out and FILE.err first, so that the
demo can compare what Kage recorded with what was really written. Standard library only.
"""

import argparse
import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).parents[2]))  # started by its path, from anywhere
from tests.demo.edits import Edit, edits

_RAN = re.compile(r"^Ran (\d+) test", re.MULTILINE)
_BAD = re.compile(r"\b(?:failures|errors)=(\d+)")
_TEST_LIMIT_S = 20
_EDITS_A_TURN = 6


class Mouth:
    """Standard output and standard error, each with its copy in a file."""

    def __init__(self, transcript: Path) -> None:
        self._out = transcript.with_suffix(".out").open("ab", buffering=0)
        self._err = transcript.with_suffix(".err").open("ab", buffering=0)

    def tell(self, kind: str, **fields: object) -> None:
        """One object, one line, at once."""
        self._write(self._out, sys.stdout.buffer, json.dumps({"type": kind, **fields}).encode() + b"\n")

    def show(self, text: str) -> None:
        """Words for whoever looks at standard error."""
        self._write(self._err, sys.stderr.buffer, text.encode())

    @staticmethod
    def _write(copy: BinaryIO, out: BinaryIO, data: bytes) -> None:
        copy.write(data)
        out.write(data)
        out.flush()


class Agent:
    """One failing test module, one module under test, one repository."""

    def __init__(self, mouth: Mouth, test: str) -> None:
        self._mouth = mouth
        self._test = test
        self._calls = 0
        self._tried: set[Edit] = set()
        self._turn_ok = True

    def work(self) -> int:
        """Turn after turn until the input ends. 0 when the last one went well."""
        self._mouth.tell("session", version=1, id=f"{self._test}-{os.getpid()}")
        words: str | None = os.environ.get("KAGE_GOAL", f"make {self._test} pass")
        while words is not None:
            self._mouth.tell("turn.started", text=words)
            self._turn(words)
            words = self._hear("message").get("text")
        return 0 if self._turn_ok else 1

    def _turn(self, words: str) -> None:
        """A look at the tests, some edits, a commit if one of them helps."""
        passed, ran = self._run_tests("as it is")
        path, functions = self._subject()
        if passed == ran:
            return self._end("nothing to fix", ok=True)
        place = re.search(re.escape(str(path)) + r":(\d+)", words)
        first = int(place[1]) if place else 0
        where = f"line {first}" if first else ", ".join(sorted(functions))
        self._mouth.tell("message", text=f"{passed} of {ran} pass; reading {path} ({where})")
        found = self._search(path, functions, first)
        if found is None:
            return self._end(f"{len(self._tried)} edits tried, none helps yet", ok=False)
        self._mouth.tell("message", text=f"all tests pass: {path}:{found.line} `{found.old}` -> `{found.new}`")
        return self._commit(path)

    def _subject(self) -> tuple[Path, frozenset[str]]:
        """The module that the test imports from, and the functions that it takes."""
        tree = ast.parse(Path(self._test.replace(".", "/") + ".py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                path = Path(node.module.replace(".", "/") + ".py")
                if path.exists():
                    return path, frozenset(name.name for name in node.names)
        raise SystemExit(f"{self._test} imports nothing of this repository")

    def _search(self, path: Path, functions: frozenset[str], first: int) -> Edit | None:
        """The next edits that were not tried, those of the line `first` before others."""
        before = path.read_text()
        left = [edit for edit in edits(before, functions) if edit not in self._tried]
        left.sort(key=lambda edit: edit.line != first)
        for edit in left[:_EDITS_A_TURN]:
            self._tried.add(edit)
            path.write_text(edit.apply(before))
            what = f"try {len(self._tried)}: {path}:{edit.line} `{edit.old}` -> `{edit.new}`"
            passed, ran = self._run_tests(what)
            if passed == ran:
                return edit
            path.write_text(before)
        return None

    def _run_tests(self, what: str) -> tuple[int, int]:
        """How many passed, of how many."""
        self._calls += 1
        call = f"t{self._calls}"
        command = [sys.executable, "-B", "-m", "unittest", self._test]
        self._mouth.tell("tool.started", id=call, tool="edit+test", input={"what": what, "command": command[1:]})
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TEST_LIMIT_S, check=False)
            report = done.stderr
        except subprocess.TimeoutExpired:
            report = "Ran 1 test\nFAILED (errors=1)\n"
        self._mouth.show(report)
        count = _RAN.search(report)
        ran = int(count[1]) if count else 0
        bad = sum(int(count) for count in _BAD.findall(report))
        outcome = "ok" if ran and not bad else "error"
        self._mouth.tell("tool.finished", id=call, tool="edit+test", outcome=outcome, output=f"{ran - bad}/{ran} pass")
        return ran - bad, ran

    def _commit(self, path: Path) -> None:
        diff = subprocess.run(["git", "diff", "--", str(path)], capture_output=True, text=True, check=True).stdout
        message = f"{path.stem}: make {self._test} pass"
        command = ["git", "commit", "--quiet", "--message", message, "--", str(path)]
        self._mouth.tell(
            "approval.request",
            id="commit",
            title=f"commit the fix of {path}",
            tool="bash",
            input={"command": shlex.join(command), "diff": diff},
            why=f"{self._test} passes now",
            timeout_s=3600,
        )
        answer = self._hear("approval.answer", "commit")
        if answer.get("outcome") != "approved":
            subprocess.run(["git", "checkout", "--", str(path)], check=True)
            return self._end(
                f"not committed: {answer.get('note') or answer.get('outcome', 'nobody is there')}", ok=False
            )
        subprocess.run(command, check=True)
        return self._end("committed", ok=True)

    @staticmethod
    def _hear(kind: str, key: str = "") -> dict[str, str]:
        """The next line of a kind, about `key` if that is named; empty when the input is over."""
        for line in sys.stdin:  # other lines are not for us
            heard: dict[str, str] = json.loads(line)
            if heard.get("type") == kind and heard.get("id", "") == key:
                return heard
        return {}

    def _end(self, text: str, *, ok: bool) -> None:
        """`ok`: whether the goal is reached, as far as it knows. A turn without a fix has not failed: it is judged."""
        self._turn_ok = ok
        self._mouth.tell("message", text=text)
        self._mouth.tell("turn.ended", outcome="ok")


def main() -> int:
    """Read the command line, do the work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--test", required=True)
    parser.add_argument("--transcript", type=Path, required=True)
    arguments = parser.parse_args()
    return Agent(Mouth(arguments.transcript), arguments.test).work()


if __name__ == "__main__":
    sys.exit(main())
