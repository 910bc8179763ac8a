"""What Kage says to Codex: the greeting, prompts, an interrupt. Pure."""

from kaged.adapters.wire import json_rpc
from kaged.adapters.wire.clipping import Json
from kaged.adapters.wire.hearing import as_line
from kaged.adapters.wire.json_rpc import request


def hello() -> bytes:
    """The first line."""
    about: dict[str, Json] = {"clientInfo": {"name": "kage", "title": "Kage", "version": "1"}}
    return as_line(request(json_rpc.HELLO, "initialize", about))


def turn(thread: str, text: str, number: int = json_rpc.PROMPT) -> dict[str, Json]:
    """Words of a user; they begin a turn. `number`: not used before in this run, 3 or more."""
    return request(number, "turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})


def interrupt(thread: str, turn: str, number: int) -> bytes:
    """End the turn. `number`: another for each, 0 or more; our other requests count upwards."""
    return as_line(request(-1 - number, "turn/interrupt", {"threadId": thread, "turnId": turn}))
