"""Events of callers on their way into the journal: checks, exact de-duplication, one group all or nothing.

The hot path touches no disk: the door's short cut, a window of recent ids and stream heads in memory. A group that
holds an id which was seen before takes the slow path: wait until that event is durable, compare bytes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain

from kaged.api.v1 import event_pb2
from kaged.domain.errors import AlreadyExists, Denied, Invalid, KageError, TooMuch
from kaged.domain.frozen import frozen
from kaged.runtime.engine import OWNER, Caller, Engine, Receipt
from kaged.runtime.system import System
from kaged.store.derived.operations import operation_row
from kaged.store.log.journal import CheckFailed, Journal
from kaged.store.reading.reader import Reader
from kaged.store.wire.door import Door
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import Record, decode_head, field_content, meta_field, split

MAX_EVENTS = 1000


class EventIdReused(AlreadyExists):
    """The id belongs to an event with other bytes."""

    reason = "EVENT_ID_REUSED"

    def __init__(self, event_id: bytes, seq: int) -> None:
        super().__init__(
            f"event id {event_id.hex()} belongs to another event, at seq {seq}",
            hint="make a new id for a new event",
            seq=seq,
        )


class BatchTooLarge(TooMuch):
    """Too many events in one group."""

    reason = "BATCH_TOO_LARGE"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} events in one group; at most {MAX_EVENTS}", hint="send several", limit=MAX_EVENTS, count=count
        )


@frozen(kw_only=False)
class Check:
    """What must hold of a stream: its revision exactly, or None with `exists` for any or none."""

    stream: str
    revision: int | None = None
    exists: bool = False


@frozen(kw_only=False)
class Placed:
    """Where one event stands."""

    seq: int
    revision: int
    deduplicated: bool = False


@dataclass(slots=True)
class Accepted:
    """A group that was taken: await `done`, then `placed` is true."""

    placed: list[Placed]
    done: "asyncio.Future[None] | None"
    plain: bool  # every event is new, so their seqs are consecutive


@dataclass(slots=True)
class Run:
    """Events that were taken one after the other: await `done`, then they stand from `first_seq` to `last_seq`."""

    first_seq: int
    last_seq: int
    done: "asyncio.Future[None]"


class Appends:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, reader: Reader, system: System) -> None:
        self._engine = engine
        self._journal: Journal = engine.journal
        self._reader = reader
        self._system = system
        self._door = Door(system.event_id)

    def try_append(self, raws: Sequence[bytes], checks: Sequence[Check], actor: int) -> Accepted | None:
        """The hot path; None when an id was seen before: then `append`. Raises what is wrong with the group."""
        entries = self._admit(raws, actor)
        if not self._all_new(entries):
            return None
        if checks:
            self._check(checks)
        done = self._journal.accept(entries, actor)
        return Accepted([Placed(entry.seq, entry.revision) for entry in entries], done, plain=True)

    def try_append_plain(self, groups: Sequence[Sequence[bytes]], actor: int) -> Run | None:
        """Many groups without checks at once; None, and nothing done, unless all are flawless and all ids are new.

        One batch of the journal holds them all, so each is atomic. Then take them one by one, to see what is wrong.
        """
        if max(map(len, groups), default=0) > MAX_EVENTS or not all(groups):
            return None
        raws = groups[0] if len(groups) == 1 else list(chain.from_iterable(groups))
        try:
            entries = self._door.admit(raws, self._system.now_us())
            if actor != OWNER:
                self._check_agent(entries, actor)
            if not entries or not self._all_new(entries):
                return None
            done = self._journal.accept(entries, actor)
        except KageError:
            return None
        return Run(entries[0].seq, entries[-1].seq, done)

    def _all_new(self, entries: Sequence[Entry]) -> bool:
        if not self._journal.identities.all_new(entries):
            return False
        return len(entries) == 1 or len({entry.id for entry in entries}) == len(entries)

    async def append(self, raws: Sequence[bytes], checks: Sequence[Check], actor: int) -> Accepted:
        """One group, whatever its ids. Checks count only when something of it is new."""
        accepted = self.try_append(raws, checks, actor)
        while accepted is None:
            entries = self._admit(raws, actor)
            known = await self._known(entries)
            fresh = self._fresh(entries, known)
            if fresh is not None:
                accepted = self._accept(entries, fresh, known, checks, actor)
        return accepted

    async def append_once(self, raws: Sequence[bytes], checks: Sequence[Check], caller: Caller) -> list[Placed]:
        """One group under a request id: a repeat gets the first answer."""
        if not caller.request_id:
            accepted = await self.append(raws, checks, caller.actor)
            if accepted.done is not None:
                await self._journal.recorded(accepted.done)
            return accepted.placed
        while True:
            earlier = self._engine.earlier(caller)
            if earlier is not None:
                return await self._repeat(raws, earlier, caller.actor)
            entries = self._admit(raws, caller.actor)
            known = await self._known(entries)
            # That may have waited, and the same request may have come by another line in the meantime.
            if not known or self._engine.earlier(caller) is None:
                fresh = self._fresh(entries, known)
                if fresh is not None:
                    return await self._accept_marked(entries, fresh, known, checks, caller)

    async def _accept_marked(
        self,
        entries: Sequence[Entry],
        fresh: dict[bytes, Entry],
        known: dict[bytes, Placed],
        checks: Sequence[Check],
        caller: Caller,
    ) -> list[Placed]:
        """Accept with the request's mark in the first new event; without one there is nothing to remember."""
        new = list(fresh.values())
        mark = event_pb2.RequestMark(id=caller.request_id, digest=caller.digest, events=len(new))
        if new:
            # The mark is merged into the first event's meta: bytes appended to a message are merged by every reader.
            marked = event_pb2.Meta(request=mark).SerializeToString()
            new[0].meta = meta_field(field_content(new[0].meta) + marked)
        taken = self._accept(entries, fresh, known, checks, caller.actor)
        if taken.done is not None:
            self._journal.add_rows([operation_row(mark, new[0].seq, new[0].recorded_us)])
            receipt = Receipt(first_seq=new[0].seq, last_seq=new[-1].seq, done=taken.done)
            self._engine.remember(caller, receipt)
            await self._journal.recorded(taken.done)
        return taken.placed

    async def _repeat(self, raws: Sequence[bytes], receipt: Receipt, actor: int) -> list[Placed]:
        """The first answer again. Events that came without an id stand where no event with one stands."""
        await self._journal.confirm(receipt.last_seq)
        own = range(receipt.first_seq, receipt.last_seq + 1)
        seqs = [self._journal.identities.find(entry.id) for entry in self._admit(raws, actor)]
        rest = iter(sorted(set(own).difference(seqs)))
        told: set[int] = set()
        placed = []
        for found in seqs:
            seq = found or next(rest)
            revision = decode_head(split(self._reader.get(seq)).head).revision
            placed.append(Placed(seq, revision, deduplicated=seq not in own or seq in told))
            told.add(seq)
        return placed

    def _admit(self, raws: Sequence[bytes], actor: int) -> list[Entry]:
        if not raws:
            raise Invalid(("events", "is empty"))
        if len(raws) > MAX_EVENTS:
            raise BatchTooLarge(len(raws))
        entries = self._door.admit(raws, self._system.now_us())
        if actor != OWNER:
            self._check_agent(entries, actor)
        return entries

    def _check_agent(self, entries: Sequence[Entry], actor: int) -> None:
        """An agent writes in its own name only."""
        own = self._engine.agent_of_actor(actor)
        for entry in entries:
            if entry.shape.agent not in ("", own):
                raise Denied("an agent may append events about itself only", hint="leave `agent` empty")
            if entry.shape.run and entry.shape.run.rpartition(".")[0] != own:
                raise Denied("an agent may append events about its own runs only", hint="leave `run` empty")

    def _check(self, checks: Sequence[Check]) -> None:
        failed = []
        for check in checks:
            revision = self._journal.revision(check.stream)
            if check.revision is not None:
                if revision != check.revision:
                    failed.append(f"{check.stream} is at revision {revision}, not {check.revision}")
            elif check.exists != bool(revision):
                failed.append(f"{check.stream} " + ("has no event" if check.exists else f"is at revision {revision}"))
        if failed:
            raise CheckFailed("; ".join(failed), hint="read the stream again, then decide", failed=len(failed))

    async def _known(self, entries: Sequence[Entry]) -> dict[bytes, Placed]:
        """Events of the group that are stored already. Raises EventIdReused when the bytes differ."""
        known: dict[bytes, Placed] = {}
        for entry in entries:
            seq = self._journal.identities.find(entry.id)
            if not seq:
                continue
            await self._journal.confirm(seq)
            record = split(self._reader.get(seq))
            if not _same(record, entry):
                raise EventIdReused(entry.id, seq)
            known[entry.id] = Placed(seq, decode_head(record.head).revision, deduplicated=True)
        return known

    def _fresh(self, entries: Sequence[Entry], known: dict[bytes, Placed]) -> dict[bytes, Entry] | None:
        """What is not known, once each; None when another caller's same id came in between."""
        fresh: dict[bytes, Entry] = {}
        for entry in entries:
            if entry.id in known:
                continue
            if self._journal.identities.find(entry.id):
                return None
            twin = fresh.setdefault(entry.id, entry)
            if twin is not entry and (twin.body != entry.body or twin.meta != entry.meta):
                raise EventIdReused(entry.id, 0)
        return fresh

    def _accept(
        self,
        entries: Sequence[Entry],
        fresh: dict[bytes, Entry],
        known: dict[bytes, Placed],
        checks: Sequence[Check],
        actor: int,
    ) -> Accepted:
        done = None
        if fresh:
            if checks:
                self._check(checks)
            done = self._journal.accept(list(fresh.values()), actor)
        placed = []
        for entry in entries:
            twin_placed = known.get(entry.id)
            if twin_placed is None:
                first = fresh[entry.id]
                twin_placed = Placed(first.seq, first.revision, deduplicated=first is not entry)
            placed.append(twin_placed)
        return Accepted(placed, done, plain=False)


def _same(record: Record, entry: Entry) -> bool:
    """Whether a stored event is what the caller proposes again."""
    _, meta, body, redaction = record
    if redaction:
        gone = event_pb2.Redaction.FromString(field_content(redaction))
        same_body = gone.body_sha256 == sha256(entry.body).digest()
    else:
        same_body = body == entry.body
    if not same_body:
        return False
    if meta == entry.meta:
        return True
    stored, proposed = field_content(meta), field_content(entry.meta)
    if not stored.startswith(proposed):
        return False
    rest = event_pb2.Meta.FromString(stored[len(proposed) :])
    rest.ClearField("request")
    return not rest.ByteSize()
