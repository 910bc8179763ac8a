"""Everything that can be refused or go wrong, one class for each thing a user can learn.

Three branches: `Refusal` (the caller asked for something that cannot be), `Broken` (the machine or a peer
failed), `Bug` (ours). A class carries its facts as attributes, a stable `reason` for programs (UPPER_SNAKE,
never renamed) and a `hint` that says what to do next. `rpc/status.py` is the only place that turns them
into gRPC statuses, by branch and kind.
"""

from typing import ClassVar


class KageError(Exception):
    """The root. Never raised itself."""

    reason: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = {key: str(value) for key, value in facts.items()}


class Refusal(KageError):
    """The request cannot be done as asked; nothing changed."""


class Broken(KageError):
    """The machine, the disk or a peer failed; what was acknowledged stays true."""


class Bug(KageError):
    """Kage itself is wrong. Reported with what is needed to find it."""

    reason = "INTERNAL_BUG"


# --- kinds of refusal: each maps to one gRPC code -----------------------------------------------------------


class Invalid(Refusal):
    """A field of the request is wrong. `violations` are (field path, what is wrong)."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: tuple[str, str], hint: str = "", **facts: object) -> None:
        text = "; ".join(f"{field}: {what}" if field else what for field, what in violations)
        super().__init__(text, hint=hint, **facts)
        self.violations = violations


class NotFound(Refusal):
    """No such thing."""

    reason = "NOT_FOUND"


class AlreadyExists(Refusal):
    """The name or id is taken by something else."""

    reason = "ALREADY_EXISTS"


class Precondition(Refusal):
    """The system is not in the state that the request needs."""

    reason = "FAILED_PRECONDITION"


class Denied(Refusal):
    """This caller may not do this."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(Refusal):
    """No token, or one that nobody issued."""

    reason = "TOKEN_INVALID"


class TooMuch(Refusal):
    """A size or a count is over its limit."""

    reason = "TOO_MUCH"


class OutOfRange(Refusal):
    """A position lies outside of what is kept."""

    reason = "OUT_OF_RANGE"


class Late(Refusal):
    """The caller's deadline came before the answer. What was accepted stays."""

    reason = "DEADLINE_EXCEEDED"


class Unimplemented(Refusal):
    """This release cannot do that."""

    reason = "UNIMPLEMENTED"


class Unavailable(Broken):
    """Cannot be done now, may be done later; `retry_after_s` says when to try again."""

    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0, **facts: object) -> None:
        super().__init__(message, hint=hint, **facts)
        self.retry_after_s = retry_after_s
