"""StreamLogs: an agent's output from the journal and as it comes, as lines (decision 13; `log_lines.py` makes them).

Following ends when the agent has ended or is stopped and everything was sent.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import event_pb2, fact_pb2
from kaged.domain.errors import Invalid
from kaged.rpc.log_lines import LIFE, Lines, events_in, is_wanted, opening
from kaged.runtime.core import Core
from kaged.store.derived.views import agent_stream
from kaged.store.reading.messages import Batch
from kaged.store.reading.selection import Selection, select

_PAGE: Final = 16  # chunks of at most 64 KiB
_LARGE_BYTES: Final = 64 << 10  # more is split in a thread
_HEARTBEAT_S: Final = 3600.0


async def stream_logs(core: Core, agent: str, request: pb.StreamLogsRequest) -> AsyncGenerator[bytes, None]:
    """Answers for one request, as bytes. Raises Invalid for a run that is not the agent's, PositionInFuture."""
    await _check(core, agent, request)
    stream = agent_stream(agent)
    kinds = " OR ".join(f'type = "{kind}"' for kind in LIFE)
    selection = select(f'stream = "{stream}/output" OR (stream = "{stream}" AND ({kinds}))', now_us=0)
    head = core.reader.head
    after = request.after_seq
    if request.HasField("tail_lines"):
        lines = Lines(request)
        after, lines.skip = await asyncio.to_thread(_tail_start, core, selection, request, head)
    else:
        lines = await asyncio.to_thread(opening, request, after, _backwards(core, selection, after))
    lines.told = after
    done = after >= head
    while not done:
        page = await asyncio.to_thread(core.reader.page, selection, after, head, _PAGE)
        for answer in await asyncio.to_thread(lines.answers, b"".join(page.frames)):
            yield answer
        done, after = page.done, page.reached
    ended = lines.ended
    if request.follow and not ended:
        # From the same place on: what has ended since is told here.
        following = core.feed.subscribe(selection, head, max_batch=_PAGE, heartbeat_s=_HEARTBEAT_S)
        async with contextlib.aclosing(following):
            async for message in following:
                if isinstance(message, Batch):
                    large = len(message.joined) > _LARGE_BYTES
                    answers = (
                        await asyncio.to_thread(lines.answers, message.joined)
                        if large
                        else lines.answers(message.joined)
                    )
                    for answer in answers:
                        yield answer
                    if lines.ended:
                        break
    for answer in lines.answers(b"", final=True):
        yield answer


async def _check(core: Core, agent: str, request: pb.StreamLogsRequest) -> None:
    if request.channel not in fact_pb2.OutputChannel.values():
        raise Invalid(("channel", f"{request.channel} is not known"))
    if request.from_offset and not (request.run and request.channel):
        raise Invalid(("from_offset", "is a place in one stream of one run: give `run` and `channel`"))
    if request.HasField("tail_lines") and (request.after_seq or request.skip_lines):
        raise Invalid(("tail_lines", "give `after_seq` or `tail_lines`, not both"))
    if request.after_seq:
        core.reader.check_position(request.after_seq)
    if not request.run:
        return
    state = core.world.agent(agent)
    if state is None:
        found = await asyncio.to_thread(core.views.agent, agent)
        state = found[0] if found is not None else None
    last = state.run.attempt if state is not None and state.run is not None else 0
    number = request.run.removeprefix(f"{agent}.")
    known = len(number) < 10 and number.isdecimal() and 1 <= int(number) <= last
    if not known or request.run != f"{agent}.{int(number)}":
        raise Invalid(("run", f"{request.run[:100]!r} is not a run of this agent; its last is {agent}.{last}"))


def _backwards(core: Core, selection: Selection, up_to: int) -> Iterator[event_pb2.Event]:
    """In a thread: events that match up to a seq, newest first."""
    while up_to > 0:
        page = core.reader.page(selection, 0, up_to, _PAGE, reverse=True)
        yield from events_in(b"".join(page.frames))
        if page.done:
            return
        up_to = page.reached - 1


def _tail_start(core: Core, selection: Selection, request: pb.StreamLogsRequest, head: int) -> tuple[int, int]:
    """In a thread: where to begin for the last so many lines, and how many lines from there to leave out."""
    wanted, up_to, count = request.tail_lines, head, 0
    while up_to > 0:
        page = core.reader.page(selection, 0, up_to, _PAGE, reverse=True)
        for event in events_in(b"".join(page.frames)):
            if event.meta.type == "output.chunk" and is_wanted(event, request):
                count += event.body.output.count(b"\n")
        up_to = page.reached - 1
        if page.done or count > wanted:
            break
    after = start = max(0, up_to)
    lines = Lines(request)
    total = 0
    while start < head:
        page = core.reader.page(selection, start, head, _PAGE)
        for event in events_in(b"".join(page.frames)):
            total += sum(1 for _ in lines.feed(event))
        if page.done:
            break
        start = page.reached
    total += sum(1 for _ in lines.finish())
    return after, max(0, total - wanted)
