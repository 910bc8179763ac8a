"""What Kage says to an ACP agent: the greeting, prompts, answers, an interrupt. Pure."""

from typing import Final

from kaged.adapters.wire import json_rpc
from kaged.adapters.wire.clipping import Json
from kaged.adapters.wire.hearing import as_line
from kaged.adapters.wire.json_rpc import request, result

VERSION: Final = 1
_CAPABILITIES: Final[dict[str, Json]] = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
CANCELLED: Final[dict[str, Json]] = {"outcome": {"outcome": "cancelled"}}


def hello() -> bytes:
    """The first line: Kage offers no files and no terminal."""
    about: dict[str, Json] = {
        "protocolVersion": VERSION,
        "clientCapabilities": _CAPABILITIES,
        "clientInfo": {"name": "kage", "title": "Kage", "version": "1"},
    }
    return rpc_line(request(json_rpc.HELLO, "initialize", about))


def prompt(session: str, text: str, number: int = json_rpc.PROMPT) -> dict[str, Json]:
    """Words of a user; they begin a turn. `number`: not used before in this run, 3 or more."""
    return request(number, "session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})


def cancel(session: str) -> bytes:
    """End the turn."""
    return rpc_line({"method": "session/cancel", "params": {"sessionId": session}})


def selected(given: Json, option: Json) -> bytes:
    """The answer to a question: one of its options, or `cancelled` where there is none."""
    if not isinstance(option, str):
        return rpc_line(result(given, CANCELLED))
    return rpc_line(result(given, {"outcome": {"outcome": "selected", "optionId": option}}))


def rpc_line(message: dict[str, Json]) -> bytes:
    """A message as a line."""
    return as_line({"jsonrpc": "2.0", **message})
