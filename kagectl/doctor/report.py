"""A doctor's report as lines: one for each check, and below a problem its fix. Pure."""

from collections.abc import Sequence

from kagectl.doctor.registry import Check
from kagectl.doctor.verdict import State, Verdict
from kagectl.render.paint import PLAIN, Paint, safe

_COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}
_SIGNS: dict[State, str] = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skip": "-"}


def report(checks: Sequence[Check], verdicts: Sequence[Verdict], *, paint: Paint = PLAIN) -> str:
    """All lines, and a last one that counts."""
    widest = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for check, verdict in zip(checks, verdicts, strict=True):
        sign = paint(_SIGNS[verdict.state].ljust(4), _COLOURS[verdict.state])
        lines.append(f"{sign}  {check.name.ljust(widest)}  {safe(verdict.what)}")
        if verdict.fix:
            lines.append(f"      {' ' * widest}  {paint('fix:', 'bold')} {safe(verdict.fix)}")
    return "\n".join([*lines, "", _count(verdicts)])


def _count(verdicts: Sequence[Verdict]) -> str:
    count = {state: sum(1 for verdict in verdicts if verdict.state == state) for state in _SIGNS}
    parts = [f"{count['ok']} ok"]
    parts += [f"{count['warn']} to look at"] if count["warn"] else []
    parts += [f"{count['fail']} failed"] if count["fail"] else []
    parts += [f"{count['skip']} do not apply here"] if count["skip"] else []
    return f"{len(verdicts)} checks: {', '.join(parts)}"
