"""The one writer of the daemon's own facts: command, decide, accept, apply; effects after it is durable.

    request -> decide (pure) -> journal.accept + world.apply (one step on the loop) -> durable -> effects, answer

The accepted world is ahead of the disk by what is in flight; nobody outside sees that: answers and effects wait for
durability. A crash at any point loses no intent: recovery asks the world what is outstanding and repeats it, so
every effect is safe to repeat. Not here: processes (`children`), trees (`trees`), reads (`queries`).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from kaged.api.v1 import event_pb2
from kaged.crash_points import Point, passed
from kaged.domain.errors import AlreadyExists, KageError
from kaged.domain.events import facts
from kaged.domain.events.every import DomainEvent
from kaged.domain.frozen import frozen
from kaged.domain.world import Changed, World, tree_of
from kaged.runtime.system import System
from kaged.store.derived.operations import Operation, find_operation, operation_row
from kaged.store.derived.views import Row, agent_stream, rows, tree_stream
from kaged.store.log.journal import Journal
from kaged.store.reading.selection import FIRST_AGENT_ACTOR
from kaged.store.wire.codec import Draft, encode

DAEMON: Final = 1
OWNER: Final = 2
DAEMON_STREAM: Final = "daemon"
_KEEP_S: Final = 24 * 3600
log = logging.getLogger("kaged.engine")


@frozen
class Caller:
    """Who asks, and under which request id if it wants to be able to ask again."""

    actor: int
    request_id: str = ""
    digest: bytes = b""
    method: str = ""


INTERNAL: Final = Caller(actor=DAEMON)


@frozen
class Receipt:
    """Where the facts of one request stand. `repeated`: they were there before."""

    first_seq: int
    last_seq: int
    done: "asyncio.Future[None] | None" = None
    repeated: bool = False


class RequestIdReused(AlreadyExists):
    """The same request id came with another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"request id {request_id!r} was used for another request",
            hint="a request id belongs to one request; make a new one",
            request_id=request_id,
        )


class Listener(Protocol):
    """Hears of facts once they are durable, in order."""

    def happened(self, draft: Draft, seq: int) -> None:
        """One fact."""


class Engine:
    """See the module. Used on the event loop only."""

    def __init__(self, journal: Journal, world: World, system: System) -> None:
        self.journal = journal
        self.world = world
        self.system = system
        self._listeners: list[Listener] = []
        self._in_flight: dict[str, tuple[bytes, Receipt]] = {}
        self._newest: dict[tuple[str, str], int] = {}  # what has facts that are not durable yet, and the last of them
        self._watchers: set[Callable[[Changed], None]] = set()

    def listen(self, listener: Listener) -> None:
        """Tell it of facts that became durable."""
        self._listeners.append(listener)

    def watch(self, watcher: Callable[[Changed], None]) -> Callable[[], None]:
        """Tell of changed states once they are durable; call the result to stop."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    # --- committing --------------------------------------------------------------------------------------------

    def commit(
        self, drafts: Sequence[Draft], caller: Caller = INTERNAL, extra: Iterable[Row] = (), *, about: str = ""
    ) -> Receipt:
        """Accept facts as one batch. Raises what the journal refuses with; then nothing has changed.

        A request with an id that made no facts leaves one that says so, `about` an agent if it was: else its repeat
        might act on what came after.
        """
        if not drafts and caller.request_id:
            drafts = [Draft(stream=DAEMON_STREAM, event=facts.RequestNoted(method=caller.method), agent=about)]
        if not drafts:
            seq = self.journal.accepted_seq
            return Receipt(first_seq=seq + 1, last_seq=seq)
        now_us = self.journal.now_us()
        mark = None
        if caller.request_id:
            mark = event_pb2.RequestMark(id=caller.request_id, digest=caller.digest, events=len(drafts))
        new_id = self.system.event_id
        entries = [
            encode(draft, event_id=new_id(), now_us=now_us, mark=mark if index == 0 else None)
            for index, draft in enumerate(drafts)
        ]
        done = self.journal.accept(entries, caller.actor, now_us)
        changes: dict[tuple[str, str], Changed] = {}
        for draft, entry in zip(drafts, entries, strict=True):
            changed = self.world.apply(draft.agent, draft.event, entry.recorded_us, caller.actor)
            self.journal.add_rows(rows(self.world, changed, draft.event, entry.seq))
            for item in changed:
                changes[item.kind, item.id] = item
                self._newest[item.kind, item.id] = entry.seq
        receipt = Receipt(first_seq=entries[0].seq, last_seq=entries[-1].seq, done=done)
        extra = list(extra)
        if mark is not None:
            extra.append(operation_row(mark, receipt.first_seq, now_us))
            self._in_flight[caller.request_id] = (caller.digest, receipt)
        self.journal.add_rows(extra)
        placed = [(draft, entry.seq) for draft, entry in zip(drafts, entries, strict=True)]
        done.add_done_callback(lambda future: self._durable(future, placed, changes.values(), caller.request_id))
        passed(Point.FACTS_ACCEPTED)
        return receipt

    def _durable(
        self,
        future: "asyncio.Future[None]",
        placed: Sequence[tuple[Draft, int]],
        changes: Iterable[Changed],
        request_id: str,
    ) -> None:
        self._in_flight.pop(request_id, None)
        if future.cancelled() or future.exception() is not None:
            return  # the daemon is about to end; the next one starts from what is durable
        changes = list(changes)
        self._let_go(changes, placed[-1][1])
        for draft, seq in placed:
            for listener in self._listeners:
                try:
                    listener.happened(draft, seq)
                except KageError as error:
                    # The disk filled up in between. The state still says what is outstanding: `resume` repeats it.
                    log.warning("effect_refused type=%s reason=%s", draft.event.type_name, error.reason)
                except Exception:  # a bug in one effect must not swallow the effects after it
                    log.exception("effect_bug type=%s seq=%s", draft.event.type_name, seq)
            passed(Point.EFFECT_DONE)
        for changed in changes:
            for watcher in list(self._watchers):
                watcher(changed)

    def _let_go(self, changes: Iterable[Changed], seq: int) -> None:
        """Forget what has ended, now that this is durable: from here on its rows tell. Not before, or they lag."""
        world, names = self.world, set[str]()
        for changed in changes:
            key = (changed.kind, changed.id)
            if self._newest.get(key, 0) > seq:
                continue  # more is on its way to the disk
            self._newest.pop(key, None)
            if changed.kind == "tree":
                names.add(changed.id)
            elif changed.kind == "agent" and (state := world.agent(changed.id)) and state.phase == "ended":
                world.forget(changed.id)
                names.add(tree_of(state))
        for name in names:
            tree = world.trees.get(name)
            if tree is not None and tree.over and name not in world.of_tree and ("tree", name) not in self._newest:
                world.forget_tree(name)

    # --- requests that may be repeated -------------------------------------------------------------------------

    async def once(self, caller: Caller, act: Callable[[], Receipt]) -> Receipt:
        """Act, or find what an earlier request with the same id did. Returns when it is durable.

        Raises RequestIdReused, StoreStalled (then a repeat tells what became of it), and what `act` refuses with.
        """
        earlier = self.earlier(caller)
        receipt = earlier if earlier is not None else act()
        if receipt.done is not None:
            await self.journal.recorded(receipt.done)
        else:
            await self.journal.confirm(receipt.last_seq)
        passed(Point.REQUEST_DURABLE)
        return receipt

    def earlier(self, caller: Caller) -> Receipt | None:
        """What an earlier request with the same id did, within 24 hours."""
        if not caller.request_id:
            return None
        in_flight = self._in_flight.get(caller.request_id)
        if in_flight is not None:
            digest, receipt = in_flight
            if digest != caller.digest:
                raise RequestIdReused(caller.request_id)
            return Receipt(first_seq=receipt.first_seq, last_seq=receipt.last_seq, done=receipt.done, repeated=True)
        found: Operation | None = find_operation(self.journal.store, caller.request_id)
        if found is None or found.recorded_us < self.journal.now_us() - _KEEP_S * 1_000_000:
            return None
        if found.digest != caller.digest:
            raise RequestIdReused(caller.request_id)
        return Receipt(first_seq=found.first_seq, last_seq=found.first_seq + found.events - 1, repeated=True)

    def remember(self, caller: Caller, receipt: Receipt) -> None:
        """Let repeats of a request join it while it is in flight."""
        self._in_flight[caller.request_id] = (caller.digest, receipt)
        assert receipt.done is not None
        receipt.done.add_done_callback(lambda _: self._in_flight.pop(caller.request_id, None))

    def agent_of_actor(self, actor: int) -> str:
        """Id of the live agent with this actor number, or an empty text."""
        number = actor - FIRST_AGENT_ACTOR + 1
        for kept in self.world.agents.values():
            if kept.state.number == number:
                return kept.state.id
        return ""

    # --- drafts ------------------------------------------------------------------------------------------------

    def agent_drafts(self, agent: str, events: Iterable[DomainEvent]) -> list[Draft]:
        """Facts about one agent, each in its stream."""
        return [
            Draft(stream=_stream_of(agent, event), event=event, agent=agent, run=_run_of(event)) for event in events
        ]

    def tree_drafts(self, tree: str, events: Iterable[DomainEvent]) -> list[Draft]:
        """Facts about one tree."""
        return [Draft(stream=tree_stream(tree), event=event) for event in events]


def _stream_of(agent: str, event: DomainEvent) -> str:
    base = agent_stream(agent)
    match event:
        case facts.OutputChunk() | facts.OutputTruncated() | facts.OutputDropped():
            return f"{base}/output"
        case facts.RunRead():
            return f"{base}/capture"
        case _:
            return base  # what the agent's state is folded from


def _run_of(event: DomainEvent) -> str:
    run = getattr(event, "run", "")
    return run if isinstance(run, str) else ""
