"""What an agent said and tried in the turn that waits to be judged, read back from the journal. Reads only.

Words and tool calls are compared by fingerprint: two turns with the same ones are the same. Ids and times are not
part of them. Not here: what follows (`machines/goal/judge`).
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.events.every import DomainEvent
from kaged.domain.frozen import frozen
from kaged.store.derived.views import agent_stream
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import decode
from kaged.store.wire.record import payload

_EVENTS: Final = 4000
_PAGE: Final = 256
_SAID_CHARS: Final = 256 << 10
_OUTPUT_BYTES: Final = 64 << 10
_NO_ARGUMENTS: Final = frozenset({"id", "call_id", "tool_use_id", "time", "timestamp"})


@frozen
class Turn:
    """A turn as it was heard. `tried` is empty when no tool was called."""

    said: str = ""
    said_mark: str = ""
    tried: str = ""
    refused: bool = False  # by a limit of the account
    resets_us: int = 0  # when that limit ends; of a turn that was not refused, what was last told of any limit


def last_turn(reader: Reader, agent: str) -> Turn:
    """The newest turn that the adapter of an agent heard. In a thread."""
    return turn_of(_backwards(reader, agent_stream(agent)))


def turn_of(newest_first: Iterable[DomainEvent]) -> Turn:
    """The same out of an agent's events.

    Some programs tell of a limit before they begin the turn that it ends: it counts from the end of the turn before.
    """
    said: list[str] = []
    tried: list[str] = []
    refused, resets_us, told_us = False, 0, 0
    ended = begun = False  # which of its ends were passed, on the way back
    for event in newest_first:
        if _older(event, begun=begun, ended=ended):
            break
        match event:
            case facts.SignalHeard(type="signal.turn.started", parent=""):
                begun = True
            case facts.SignalHeard(type="signal.turn.ended", parent=""):
                ended = True
            case facts.SignalHeard(type="signal.rate_limit", outcome="rejected"):
                refused, resets_us = True, max(resets_us, event.resets_us)
            case facts.SignalHeard(type="signal.rate_limit"):
                told_us = told_us or event.resets_us
            case _ if begun:
                pass
            case facts.SignalHeard(type="signal.message", parent="", text=text):
                said.append(text)
            case facts.SignalHeard(type="signal.tool.requested" | "signal.tool.started"):
                tried.append(f"{event.tool} {_arguments(event.data_json)}")
            case _:
                pass
    words = "\n".join(reversed(said))[-_SAID_CHARS:]
    # One call is heard when it is asked for and when it starts: as a set, both are one.
    calls = "\n".join(sorted(set(tried)))
    ends_us = resets_us if refused else told_us
    return Turn(said=words, said_mark=_mark(words), tried=_mark(calls), refused=refused, resets_us=ends_us)


def _older(event: DomainEvent, *, begun: bool, ended: bool) -> bool:
    """Whether an event, met on the way back, is older than all that belongs to the turn."""
    match event:
        case goal_facts.Judged() | facts.Spawned():
            return True
        case facts.RunWanted() | facts.RunEnded():
            return begun
        case facts.SignalHeard(type="signal.turn.started", parent=""):
            return begun
        case facts.SignalHeard(type="signal.turn.ended", parent=""):
            return begun or ended
        case _:
            return False


def last_run(reader: Reader, agent: str, run: str) -> Turn:
    """The end of what a run printed, for agents whose runs are their turns. In a thread."""
    pieces: list[bytes] = []
    size = 0
    for event in _backwards(reader, f"{agent_stream(agent)}/output"):
        if not isinstance(event, facts.OutputChunk) or event.run != run or size >= _OUTPUT_BYTES:
            break
        pieces.append(event.data)
        size += len(event.data)
    words = b"".join(reversed(pieces))[-_OUTPUT_BYTES:].decode("utf-8", "replace")
    return Turn(said=words, said_mark=_mark(words))


def _backwards(reader: Reader, stream: str) -> Iterator[DomainEvent]:
    """The newest events of a stream, newest first."""
    up_to, left = reader.head, _EVENTS
    while up_to > 0 and left > 0:
        page = reader.page(select("", now_us=0, stream=stream), 0, up_to, _PAGE, reverse=True)
        for framed in page.frames:
            event = decode(event_pb2.Event.FromString(payload(framed)))
            if event is not None:
                left -= 1
                yield event
        if page.done:
            return
        up_to = page.reached - 1


def _arguments(data_json: str) -> str:
    """A tool call's arguments without what differs each time."""
    try:
        value = json.loads(data_json or "null")
    except ValueError:
        return data_json
    if isinstance(value, dict):
        value = {name: item for name, item in value.items() if name not in _NO_ARGUMENTS}
    return json.dumps(value, sort_keys=True)


def _mark(text: str) -> str:
    return blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=12).hexdigest() if text.strip() else ""
