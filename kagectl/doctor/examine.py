"""All checks side by side, each within its time: one that hangs (a dead disk, a stuck program) holds up nobody.

A check that breaks is a problem of its own, never a traceback. Threads of checks that were given up are left behind;
they hold nothing, and end with the program.
"""

import threading
import time
from collections.abc import Iterable, Sequence

from kagectl.doctor.registry import Check
from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, warn


def examine(scene: Scene, checks: Sequence[Check]) -> list[Verdict]:
    """The verdict of each check, in their order. Takes as long as the slowest, at most its `limit_s`."""
    cases = [_Case(check, scene) for check in checks]
    began = time.monotonic()
    for case in cases:
        case.start()
    for case in cases:
        case.join(max(0.0, began + case.check.limit_s - time.monotonic()))
    return [case.verdict() for case in cases]


def failed(verdicts: Iterable[Verdict]) -> bool:
    """Whether something does not work."""
    return any(verdict.state == "fail" for verdict in verdicts)


class _Case(threading.Thread):
    def __init__(self, check: Check, scene: Scene) -> None:
        super().__init__(name=f"doctor {check.name}", daemon=True)
        self.check = check
        self._scene = scene
        self._verdict: Verdict | None = None

    def run(self) -> None:
        try:
            self._verdict = self.check.look(self._scene)
        except PermissionError as error:
            self._verdict = fail(f"{error.filename or 'something'} is not yours to look at", "run it as its owner")
        except OSError as error:
            what = error.filename or "the system"
            self._verdict = fail(f"{what}: {error.strerror or error}", f"ls -ld {what}" if error.filename else "dmesg")
        except Exception as error:  # noqa: BLE001 - of a broken check the others must not suffer
            told = f"{type(error).__name__}: {error}"
            self._verdict = warn(f"this check broke: {told}", "KAGE_DEBUG=1 kagectl version -o json   # and report it")

    def verdict(self) -> Verdict:
        """What it said; one that still looks gets a verdict about that."""
        return self._verdict or fail(
            f"no answer in {self.check.limit_s:g} s", f"kagectl doctor --check {self.check.name}   # again, alone"
        )
