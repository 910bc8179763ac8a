"""A small agent without a language model: it repairs a failing test by search, and speaks jsonl to Kage.

    python agent.py --test tests.test_prices --transcript FILE

It runs the test, reads the module that the test imports, and edits it for real: one small edit at a time
(`edits.py`), the tests run after each, undone when they still fail. When they pass it asks before it commits
(docs/jsonl-protocol.md), and commits only when told so.

Every byte it writes to standard output and standard error goes to FILE.out and FILE.err first, so that the
demo can compare what Kage recorded with what was really written. Standard library only.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).parents[2]))  # started by its path, from anywhere
from tests.demo.edits import Edit, edits

_RAN = re.compile(r"^Ran (\d+) test", re.MULTILINE)
_BAD = re.compile(r"\b(?:failures|errors)=(\d+)")
_TEST_LIMIT_S = 20


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

    def work(self) -> int:
        """From the first run of the tests to the commit. 0 when the tests pass and the fix is committed."""
        self._mouth.tell("session", version=1, id=f"{self._test}-{os.getpid()}")
        self._mouth.tell("turn.started", text=f"make {self._test} pass")
        passed, ran = self._run_tests("as it is")
        path, functions = self._subject()
        self._mouth.tell("message", text=f"{passed} of {ran} pass; reading {path} ({', '.join(sorted(functions))})")
        found = None if passed == ran else self._search(path, functions)
        if found is None:
            return self._end("nothing to fix" if passed == ran else "no small edit makes the tests pass", ok=False)
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

    def _search(self, path: Path, functions: frozenset[str]) -> Edit | None:
        before = path.read_text()
        for number, edit in enumerate(edits(before, functions), start=1):
            path.write_text(edit.apply(before))
            passed, ran = self._run_tests(f"try {number}: {path}:{edit.line} `{edit.old}` -> `{edit.new}`")
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

    def _commit(self, path: Path) -> int:
        diff = subprocess.run(["git", "diff", "--", str(path)], capture_output=True, text=True, check=True).stdout
        self._mouth.tell(
            "approval.request",
            id="commit",
            title=f"commit the fix of {path}",
            tool="git commit",
            input={"diff": diff},
            why=f"{self._test} passes now",
            timeout_s=3600,
        )
        answer = self._answer("commit")
        if answer.get("outcome") != "approved":
            subprocess.run(["git", "checkout", "--", str(path)], check=True)
            return self._end(f"not committed: {answer.get('note') or answer.get('outcome')}", ok=False)
        message = f"{path.stem}: make {self._test} pass"
        subprocess.run(["git", "commit", "--quiet", "--message", message, "--", str(path)], check=True)
        return self._end("committed", ok=True)

    @staticmethod
    def _answer(key: str) -> dict[str, str]:
        for line in sys.stdin:  # other lines are not for us
            heard: dict[str, str] = json.loads(line)
            if heard.get("type") == "approval.answer" and heard.get("id") == key:
                return heard
        return {"outcome": "denied", "note": "nobody is there to ask"}

    def _end(self, text: str, *, ok: bool) -> int:
        self._mouth.tell("message", text=text)
        self._mouth.tell("turn.ended", outcome="ok" if ok else "error", error="" if ok else text)
        return 0 if ok else 1


def main() -> int:
    """Read the command line, do the work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--test", required=True)
    parser.add_argument("--transcript", type=Path, required=True)
    arguments = parser.parse_args()
    return Agent(Mouth(arguments.transcript), arguments.test).work()


if __name__ == "__main__":
    sys.exit(main())
