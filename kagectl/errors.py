"""What kagectl says when something does not work, and the exit codes that scripts may rely on.

    0 done · 1 the agent failed · 2 wrong usage · 3 not found · 4 no daemon, or it cannot answer
    5 refused · 130 interrupted; `run` exits with the agent's own code, 128 + n after signal n

One line on stderr, never a traceback; KAGE_DEBUG=1 shows the traceback to those who look for a bug.
"""

from kagectl.client.failures import ClientError

OK = 0
AGENT_FAILED = 1
USAGE = 2
NOT_FOUND = 3
UNAVAILABLE = 4
REFUSED = 5
INTERRUPTED = 130
PIPE_CLOSED = 141  # 128 + SIGPIPE, what a shell shows for programs that die of it

_EXITS = {
    "INVALID_ARGUMENT": USAGE,
    "NOT_FOUND": NOT_FOUND,
    "UNAVAILABLE": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
    "CANCELLED": UNAVAILABLE,
    "UNKNOWN": UNAVAILABLE,
    "INTERNAL": UNAVAILABLE,
    "DATA_LOSS": UNAVAILABLE,
    "UNIMPLEMENTED": UNAVAILABLE,
}


class Complaint(Exception):
    """Something the person can put right: a message, a hint, an exit code."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class Ended(Exception):
    """Leave with this exit code; everything was said."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def exit_code_of(error: ClientError) -> int:
    """The exit code for a failed call: everything that is not a plain answer above is a refusal."""
    return _EXITS.get(error.code, REFUSED)


def told(error: ClientError) -> str:
    """The one line for a failed call, without the program's name."""
    text = " ".join(error.message.split())
    missing = [f"{field}: {what}" for field, what in error.violations if what not in text]
    if missing:
        text = f"{text} ({'; '.join(missing)})"
    if error.code == "DEADLINE_EXCEEDED" and not error.reason:
        text = "the daemon did not answer in time"
    hint = error.hint or _hint(error)
    return f"{text} — {hint}" if hint else text


def _hint(error: ClientError) -> str:
    match error.code:
        case "DEADLINE_EXCEEDED":
            return "--timeout gives it longer; kagectl daemon status shows how it is"
        case "UNIMPLEMENTED":
            return "this daemon is older than this kagectl: kagectl version shows both"
        case "UNAUTHENTICATED":
            return "the token does not fit this daemon: check KAGE_TOKEN_FILE and --socket"
        case "INTERNAL" | "UNKNOWN":
            return "kagectl daemon logs may tell more"
        case _:
            return ""
