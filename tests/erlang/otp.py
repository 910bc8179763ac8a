"""One Erlang node that runs scenario after scenario on real OTP supervisors."""

import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.erlang.scenarios import Scenario

_ATOMS = {
    *("sup", "work", "start", "stop", "fails", "exit", "burst", "terminate", "restart", "delete"),
    *("one_for_one", "one_for_all", "rest_for_one", "never", "any_significant", "all_significant"),
    *("permanent", "transient", "temporary", "normal", "shutdown", "crash"),
}


def is_here() -> bool:
    """Whether an Erlang node and compiler can be started on this machine."""
    return shutil.which("erl") is not None and shutil.which("erlc") is not None


class OtpNode:
    """Compiles the driver into `folder` and keeps a node until the end of the `with`."""

    def __init__(self, folder: Path, *, answer_within_s: float = 30.0) -> None:
        self._folder, self._answer_within_s = folder, answer_within_s

    def __enter__(self) -> Self:
        source = Path(__file__).with_name("kage_tree.erl")
        subprocess.run(["erlc", "-Werror", "-o", self._folder, source], check=True, timeout=60)
        # One scheduler: signals between the supervisors and the driver then keep their order.
        command = ["erl", "+S", "1:1", "-noshell", "-pa", str(self._folder), "-s", "kage_tree", "main"]
        self._node = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        return self

    def __exit__(self, *_: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]) -> None:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.close()
        try:
            self._node.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._node.kill()
            self._node.wait()
        self._node.stdout.close()

    def release(self) -> str:
        found = subprocess.run(
            ["erl", "-noshell", "-eval", 'io:format("~s", [erlang:system_info(otp_release)]), halt().'],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return found.stdout

    def run(self, scenario: Scenario) -> list[str]:
        """What OTP does: one line for each step."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        deadline = threading.Timer(self._answer_within_s, self._node.kill)
        deadline.start()
        try:
            steps = [_term(step) if len(step) > 1 else step[0] for step in scenario.steps]
            self._node.stdin.write(f"{{run,{_term(scenario.tree)},[{','.join(steps)}]}}.\n")
            self._node.stdin.flush()
            seen = []
            while (line := self._node.stdout.readline().rstrip("\n")) != "done":
                if not line:
                    raise AssertionError("the Erlang node is gone, or had no answer within its deadline")
                seen.append(line)
            return seen
        finally:
            deadline.cancel()


def _term(value: Any) -> str:
    """An Erlang term: tuples for tagged lists and pairs, lists for lists of them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if value in _ATOMS else json.dumps(value)
    parts = ",".join(map(_term, value))
    return f"[{parts}]" if not value or isinstance(value[0], list) else f"{{{parts}}}"
