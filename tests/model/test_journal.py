"""The journal against a list: whatever is appended, reopened or asked, both give the same answers."""

import shutil
import tempfile
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kaged.api.v1 import event_pb2
from kaged.domain.errors import NotFound
from kaged.domain.filter.times import format_time
from kaged.store.log.merkle import root_of
from kaged.store.reading.selection import select
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import SEGMENT
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.rows.rocks import RocksStore
from kaged.store.wire.entry import Entry
from kaged.store.wire.record import leaf_hash, payload, split
from tests.fakes.journals import START_US, OpenJournal, event_id, new_event
from tests.search import examples

STREAMS = ("a", "b", "notes/a", "notes/ab", "c")
TYPES = ("note.written", "note.read", "build.done", "b")
AGENTS = ("", "one", "two")
EARLY_US, LATE_US = START_US + 500, START_US + 90_000_000
EARLY, LATE = format_time(EARLY_US), format_time(LATE_US)
FILTERS = (
    "",
    'stream = "a"',
    'stream = "notes/a" OR stream = "c"',
    'type = "note.*"',
    'type = "b"',
    'type = "note.*" AND agent = "one"',
    'agent = "two"',
    'tags.k = "1"',
    'tags.k = "1" AND stream = "b"',
    'NOT type = "b"',
    "seq > 1020 AND seq <= 1030",
    "seq <= 3",
    "seq > 5 AND seq < 5",
    'seq > 1000 AND stream = "a"',
    'stream = "nobody"',
    "revision > 3",
    f'recorded > "{EARLY}"',
    f'recorded <= "{EARLY}" AND type = "b"',
    f'recorded > "{EARLY}" AND recorded < "{LATE}"',
    'tags.k = "2" OR tags.k = "3"',
    'tags.k = "1" AND NOT tags.other = "x"',
)


@dataclass(frozen=True, slots=True)
class Fact:
    """What the model remembers of an event."""

    seq: int
    revision: int
    recorded_us: int
    actor: int
    number: int
    raw: bytes
    stream: str
    type: str
    agent: str
    tag: str

    def matches(self, text: str) -> bool:
        """The filters above, by hand."""
        return {
            "": True,
            'stream = "a"': self.stream == "a",
            'stream = "notes/a" OR stream = "c"': self.stream in ("notes/a", "c"),
            'type = "note.*"': self.type.startswith("note."),
            'type = "b"': self.type == "b",
            'type = "note.*" AND agent = "one"': self.type.startswith("note.") and self.agent == "one",
            'agent = "two"': self.agent == "two",
            'tags.k = "1"': self.tag == "1",
            'tags.k = "1" AND stream = "b"': self.tag == "1" and self.stream == "b",
            'NOT type = "b"': self.type != "b",
            "seq > 1020 AND seq <= 1030": 1020 < self.seq <= 1030,
            "seq <= 3": self.seq <= 3,
            "seq > 5 AND seq < 5": False,
            'seq > 1000 AND stream = "a"': self.seq > 1000 and self.stream == "a",
            'stream = "nobody"': False,
            "revision > 3": self.revision > 3,
            f'recorded > "{EARLY}"': self.recorded_us > EARLY_US,
            f'recorded <= "{EARLY}" AND type = "b"': self.recorded_us <= EARLY_US and self.type == "b",
            f'recorded > "{EARLY}" AND recorded < "{LATE}"': EARLY_US < self.recorded_us < LATE_US,
            'tags.k = "2" OR tags.k = "3"': self.tag in ("2", "3"),
            'tags.k = "1" AND NOT tags.other = "x"': self.tag == "1",
        }[text]


EDGES = (0, 1, *(segment * SEGMENT + at for segment in (1, 2) for at in (-2, -1, 0, 1, 2)), 5000)


class JournalMachine(RuleBasedStateMachine):
    """Rules are calls; invariants are what must always hold."""

    def make_store(self) -> KeyValue:
        return MemoryStore()

    def reopen_store(self) -> KeyValue:
        return self.open.store

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[Fact] = []
        self.revisions: dict[str, int] = {}
        self.number = 0
        self.recorded_us = 0
        self.open = OpenJournal(self.make_store())

    # --- writing -----------------------------------------------------------------------------------------------

    @initialize(count=st.sampled_from([0, 1, SEGMENT - 2, SEGMENT, 2 * SEGMENT - 1]))
    def begin(self, count: int) -> None:
        """Start near a boundary: that is where segments go wrong."""
        if count:
            self.bulk(count, 7)

    @rule(count=st.sampled_from([1, 2, 40, 700, SEGMENT, SEGMENT + 1]), salt=st.integers(1, 30))
    def bulk(self, count: int, salt: int) -> None:
        self._append([((at * salt) % 5, (at // salt) % 4, at % 3, (at * salt) % 11) for at in range(count)])

    @rule(
        batches=st.lists(
            st.lists(
                st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)),
                min_size=1,
                max_size=4,
            ),
            min_size=1,
            max_size=4,
        )
    )
    def several_at_once(self, batches: list[list[tuple[int, int, int, int]]]) -> None:
        """Batches accepted before the first is durable: they share commits."""

        async def all_of_them() -> None:
            waits = [self.open.journal.accept(self._entries(choices), 3) for choices in batches]
            assert self.open.journal.accepted_seq == len(self.facts)
            for wait in waits:
                await wait

        self.open.run(all_of_them())

    def _append(self, choices: list[tuple[int, int, int, int]]) -> None:
        async def accepted() -> None:
            await self.open.journal.accept(self._entries(choices), 3)

        self.open.run(accepted())

    def _entries(self, choices: list[tuple[int, int, int, int]]) -> list[Entry]:
        self.recorded_us = max(self.recorded_us, self.open.clock.now_us)
        raws = []
        for stream_at, type_at, agent_at, tag in choices:
            self.number += 1
            stream, type_name, agent = STREAMS[stream_at], TYPES[type_at], AGENTS[agent_at]
            # Ids of all ages, so that their buckets do not follow the order of the journal.
            time_us = START_US - (self.number * 7919 % 13) * 200_000
            raw = new_event(
                self.number, stream=stream, type_name=type_name, agent=agent, tags=[("k", str(tag))], time_us=time_us
            )
            raws.append(raw)
            revision = self.revisions[stream] = self.revisions.get(stream, 0) + 1
            self.facts.append(
                Fact(
                    len(self.facts) + 1,
                    revision,
                    self.recorded_us,
                    3,
                    self.number,
                    raw,
                    stream,
                    type_name,
                    agent,
                    str(tag),
                )
            )
        return self.open.admit(raws)

    @rule(step_us=st.sampled_from([1, 1000, 60_000_000, -5_000_000]))
    def the_clock_moves(self, step_us: int) -> None:
        self.open.clock.now_us += step_us

    @rule()
    def reopen(self) -> None:
        root = self.open.journal.root()
        self.open.close()
        store = self.reopen_store()
        self.open = OpenJournal(store, self.open.clock)
        assert self.open.journal.root() == root

    # --- reading -----------------------------------------------------------------------------------------------

    @rule(
        text=st.sampled_from(FILTERS),
        after=st.one_of(st.integers(0, 4000), st.sampled_from(EDGES)),
        up_to=st.one_of(st.integers(0, 5000), st.sampled_from(EDGES)),
        limit=st.sampled_from([1, 3, 100, 5000]),
        reverse=st.booleans(),
        head_only=st.booleans(),
    )
    def some_pages(self, text: str, after: int, up_to: int, limit: int, reverse: bool, head_only: bool) -> None:
        self.pages_hold_what_matches_in_order(text, after, up_to, limit, reverse, head_only)

    def pages_hold_what_matches_in_order(
        self, text: str, after: int, up_to: int, limit: int, reverse: bool, head_only: bool
    ) -> None:
        selection = select(text, now_us=START_US, head_only=head_only)
        head = len(self.facts)
        expected = [fact.seq for fact in self.facts if after < fact.seq <= up_to and fact.matches(text)]
        if reverse:
            expected.reverse()
        low, high = after, up_to
        found: list[int] = []
        for _ in range(6000):
            page = self.open.reader.page(selection, low, high, limit, reverse=reverse)
            assert len(page.frames) <= limit
            seqs = [event_pb2.Event.FromString(payload(framed)).seq for framed in page.frames]
            found += seqs
            if seqs:
                assert page.last_seq == seqs[-1]
            if reverse:
                assert all(page.reached <= seq < high + 1 for seq in seqs)
                assert low < page.reached <= max(min(high, head) + 1, low + 1)
                if page.done:
                    assert page.reached <= low + 1
                    break
                assert page.reached <= high
                high = page.reached - 1
            else:
                assert all(low < seq <= page.reached for seq in seqs)
                assert page.reached >= low
                if page.done:
                    assert page.reached == max(low, min(high, head))
                    break
                assert page.reached > low
                low = page.reached
        assert found == expected

    @rule(seq=st.integers(0, 4000))
    def a_seq_gives_its_event(self, seq: int) -> None:
        try:
            framed = self.open.reader.get(seq)
        except NotFound:
            assert not 0 < seq <= len(self.facts)
            return
        fact = self.facts[seq - 1]
        event = event_pb2.Event.FromString(payload(framed))
        proposed = event_pb2.NewEvent.FromString(fact.raw)
        assert (event.seq, event.revision, event.recorded_us, event.actor) == (
            seq,
            fact.revision,
            fact.recorded_us,
            fact.actor,
        )
        assert (event.meta, event.body) == (proposed.meta, proposed.body)

    @rule(number=st.integers(1, 4000))
    def an_id_is_found_at_its_seq(self, number: int) -> None:
        time_us = START_US - (number * 7919 % 13) * 200_000
        # Numbers are given in order and one event each, so number = seq.
        assert self.open.journal.identities.find(event_id(number, time_us)) == (
            number if number <= len(self.facts) else 0
        )

    @rule(stream=st.sampled_from([*STREAMS, "nobody"]), revision=st.integers(0, 2000))
    def a_revision_is_found(self, stream: str, revision: int) -> None:
        seqs = [fact.seq for fact in self.facts if fact.stream == stream and fact.revision >= revision]
        assert self.open.reader.seq_of_revision(stream, revision) == (seqs[0] if seqs else len(self.facts) + 1)

    @rule(stream=st.sampled_from([*STREAMS, "nobody"]), up_to=st.one_of(st.none(), st.integers(0, 5000)))
    def the_last_of_a_stream_is_found(self, stream: str, up_to: int | None) -> None:
        limit = len(self.facts) if up_to is None else up_to
        seqs = [fact.seq for fact in self.facts if fact.stream == stream and fact.seq <= limit]
        last = self.open.reader.last_of(stream, up_to)
        assert (last.seq if last else 0) == (seqs[-1] if seqs else 0)

    @rule(offset_us=st.integers(-70_000_000, 200_000_000))
    def a_time_is_found(self, offset_us: int) -> None:
        times = [fact.recorded_us for fact in self.facts]
        wanted = START_US + offset_us
        assert self.open.reader.seek_time(wanted) == bisect_left(times, wanted) + 1

    @precondition(lambda self: self.facts)
    @invariant()
    def heads_and_root_are_those_of_the_model(self) -> None:
        journal = self.open.journal
        assert journal.durable_seq == journal.accepted_seq == len(self.facts)
        for stream in STREAMS:
            assert journal.revision(stream) == self.revisions.get(stream, 0)

    def teardown(self) -> None:
        values = self.open.store.values("events", b"", 1 << 20)
        leaves = [leaf_hash(*split(value)[:3]) for value in values]
        assert len(values) == len(self.facts)
        assert self.open.journal.root() == root_of(leaves)
        self.open.close()
        self.open.store.close()


class RocksJournalMachine(JournalMachine):
    """The same on disk, reopened both after a close and from a copy of the files, as after a kill."""

    def make_store(self) -> KeyValue:
        self.folder = Path(tempfile.mkdtemp(prefix="kage-model-"))
        self.copies = 0
        return RocksStore(self.folder / "0")

    def reopen_store(self) -> KeyValue:
        self.copies += 1
        target = self.folder / str(self.copies)
        shutil.copytree(self.folder / str(self.copies - 1), target)
        self.open.store.close()
        shutil.rmtree(self.folder / str(self.copies - 1))
        return RocksStore(target)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


SETTINGS = settings(
    max_examples=examples(40),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestInMemory = JournalMachine.TestCase
TestInMemory.settings = SETTINGS
TestOnDisk = RocksJournalMachine.TestCase
TestOnDisk.settings = settings(SETTINGS, max_examples=examples(15))


def test_pages_and_revisions_are_right_at_every_edge() -> None:
    """What chance rarely hits: all filters, both directions, at the borders of segments and of the tail."""
    for count in (SEGMENT, 2 * SEGMENT + 50):
        machine = JournalMachine()
        machine.bulk(count // 2, 7)
        machine.the_clock_moves(1000)
        machine.bulk(count - count // 2, 3)
        for text in FILTERS:
            for after in EDGES:
                for up_to in EDGES:
                    if after < up_to and (after + up_to + len(text)) % 4 == 0:
                        reverse = (after + up_to) % 8 < 4
                        machine.pages_hold_what_matches_in_order(text, after, up_to, 250, reverse, True)
                        machine.pages_hold_what_matches_in_order(text, after, up_to, 5000, not reverse, True)
        machine.pages_hold_what_matches_in_order("", 0, 50, 1, True, False)
        for stream in STREAMS:
            for revision in range(0, machine.revisions[stream] + 2, 1 if stream == "a" else 7):
                machine.a_revision_is_found(stream, revision)
            for up_to in EDGES:
                machine.the_last_of_a_stream_is_found(stream, up_to)
        machine.teardown()
