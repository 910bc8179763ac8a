"""What a check says: one line, and for a problem the one thing to do about it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`skip`: does not apply here, or cannot be told. `fix`: a command to copy, or a few words; empty when well."""

    state: State
    what: str
    fix: str = ""


def ok(what: str) -> Verdict:
    """As it should be."""
    return Verdict(state="ok", what=what)


def warn(what: str, fix: str) -> Verdict:
    """Works, but not as well or as safely as it could."""
    return Verdict(state="warn", what=what, fix=fix)


def fail(what: str, fix: str) -> Verdict:
    """Something does not work."""
    return Verdict(state="fail", what=what, fix=fix)


def skip(what: str, fix: str = "") -> Verdict:
    """Does not apply here, or cannot be told now; `fix`: how it could."""
    return Verdict(state="skip", what=what, fix=fix)
