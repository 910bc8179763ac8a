"""What Kage says to Claude Code: its command line, the first requests, prompts, answers. Pure.

Session ids are chosen here, one for each run that begins a session: derived from the run's id, so that they are
known before the process is, and the same if the start is repeated.
"""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json
from kaged.adapters.wire.hearing import as_line
from kaged.domain.assignment import Assignment
from kaged.domain.signals import BY_RULE, Ask

ASK_PERSON: Final = "AskUserQuestion"
BASELINE: Final = "kage-usage"
ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({"DISABLE_AUTOUPDATER": "1"})  # not under a running agent
_SESSIONS: Final = bytes.fromhex("5b3f1d6e7c1a5c589a7e6b6167650001")
_ALWAYS: Final = ("-p", "--verbose")
_PAIRS: Final = (
    ("--output-format", "stream-json"),
    ("--input-format", "stream-json"),
    ("--permission-prompt-tool", "stdio"),
)
_CHANGING: Final = ("Bash", "Edit", "Write", "MultiEdit", "NotebookEdit")
_LOOKING: Final = ("Read", "Glob", "Grep", "LS", "WebFetch", "WebSearch", "Task")
_ASKED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"on-commit": _CHANGING, "on-write": _CHANGING, "always": (*_CHANGING, *_LOOKING)}
)
_SESSION_FLAGS: Final = ("--session-id", "--resume", "-r", "--continue", "-c")


def arguments(task: Assignment) -> tuple[str, ...]:
    """The spec's command, and behind it the flags that the protocol needs and that it does not name itself."""
    given = task.command
    more = [flag for flag in _ALWAYS if flag not in given]
    for flag, value in _PAIRS:
        if not _has(given, flag):
            more += (flag, value)
    if asked := _ASKED.get(task.approve):
        # In its own settings `ask` goes before `allow`, so what a person once allowed there is asked here again.
        if not _has(given, "--permission-mode"):
            more += ("--permission-mode", "default")
        if not _has(given, "--settings"):
            more += ("--settings", json.dumps({"permissions": {"ask": asked}}, separators=(",", ":")))
    if not any(_has(given, flag) for flag in _SESSION_FLAGS):
        more += ("--resume", task.session) if task.session else ("--session-id", session_of(task.run))
    return (*given, *more)


def _has(given: tuple[str, ...], flag: str) -> bool:
    return any(word == flag or word.startswith(flag + "=") for word in given)


def session_of(run: str) -> str:
    """The session that a run begins: its id as a UUID of version 5."""
    # not the module `uuid`, which would cost each start of the daemon 2 %
    number = int.from_bytes(hashlib.sha1(_SESSIONS + run.encode(), usedforsecurity=False).digest()[:16], "big")
    text = f"{number & ~(0xF000 << 64 | 0xC << 60) | 5 << 76 | 0x8 << 60:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def hello() -> bytes:
    """Open the control protocol, and ask what a resumed session has used before: its totals go on from there."""
    return _request("kage-hello", {"subtype": "initialize"}) + _request(BASELINE, {"subtype": "get_usage"})


def prompt(text: str) -> bytes:
    """Words of a user; they begin a turn."""
    message: Json = {"role": "user", "content": text}
    return as_line({"type": "user", "message": message, "parent_tool_use_id": None, "session_id": ""})


def interrupt(number: int) -> bytes:
    """End the turn; the session goes on with the next prompt."""
    return _request(f"kage-interrupt-{number}", {"subtype": "interrupt"})


def answer(ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
    """What becomes of a tool call that it asked about. What is allowed is what was asked, unchanged."""
    if outcome == "approved":
        return _respond(ask.key, _answered(ask, note) if ask.kind == "question" else {"behavior": "allow"})
    if outcome == "expired":
        said = "Nobody answered in time. This is not a refusal: do without, or ask again later."
    else:
        said = "A person refused this." if ask.kind == "action" else "A person chose not to answer."
        said = "" if note.startswith(BY_RULE) else said
    return _respond(ask.key, {"behavior": "deny", "message": f"{said} {note}".strip()})


def _answered(ask: Ask, note: str) -> dict[str, Json]:
    """A person's words as the answer to each of its questions, or, where those are not known any more, as a message."""
    try:
        given = dict(fields.parsed(ask.data_json.encode()))
    except (ValueError, RecursionError):
        given = {}
    given.pop("choices", None)
    asked = [item.get("question") for item in fields.items(given, "questions") if isinstance(item, dict)]
    if not asked:
        return {"behavior": "deny", "message": f"A person answered: {note}"}
    answers: dict[str, Json] = {fields.as_text(question): note for question in asked}
    return {"behavior": "allow", "updatedInput": {**given, "answers": answers}}


def refusal(key: str, why: str) -> bytes:
    """A request that nobody here can answer."""
    return as_line({"type": "control_response", "response": {"subtype": "error", "request_id": key, "error": why}})


def _request(request_id: str, request: dict[str, Json]) -> bytes:
    return as_line({"type": "control_request", "request_id": request_id, "request": request})


def _respond(key: str, response: dict[str, Json]) -> bytes:
    success: dict[str, Json] = {"subtype": "success", "request_id": key, "response": response}
    return as_line({"type": "control_response", "response": success})
