"""One changed bit anywhere in what is true is found, and the event that it hit is named."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.store.log.merkle import consistency_holds, consistency_proof, inclusion_holds, inclusion_proof
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES, SEGMENT, Family, leaves_row, pack_seq, root_row, sealed_row
from kaged.store.upkeep.integrity import stored_roots, verify
from kaged.store.wire.record import frame, split
from tests.fakes.journals import OpenJournal, new_event
from tests.search import examples

HEAD = 2 * SEGMENT + 70


@cache
def good() -> tuple[dict[Family, list[tuple[bytes, bytes]]], bytes, dict[int, bytes]]:
    """All rows of a store, its root, and the roots it had on the way."""
    opened = OpenJournal(MemoryStore())
    roots = {}
    number = 0
    while number < HEAD:
        count = min(37, HEAD - number)
        opened.append(
            *(
                new_event(n, stream=f"s/{n % 5}", tags=[("k", str(n % 3))], data=b"x" * (n % 200))
                for n in range(number + 1, number + count + 1)
            )
        )
        number += count
        roots[number] = opened.journal.root()
    opened.close()
    rows = {family: opened.store.scan(family, b"", limit=1 << 20) for family in FAMILIES}
    return rows, opened.journal.root(), roots


def store_with(*changes: tuple[Family, bytes, bytes | None]) -> MemoryStore:
    store = MemoryStore()
    batch = store.batch()
    for family, rows in good()[0].items():
        batch.put_all(family, rows)
    for family, key, value in changes:
        if value is None:
            batch.delete(family, key)
        else:
            batch.put(family, key, value)
    store.write(batch)
    return store


def value_of(family: Family, key: bytes) -> bytes:
    return dict(good()[0][family])[key]


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_an_untouched_store_is_good_and_has_the_root_that_the_journal_told() -> None:
    seen: list[int] = []
    report = verify(store_with(), progress=seen.append)
    assert report.findings == []
    assert report.good
    assert (report.events, report.root) == (HEAD, good()[1])
    assert seen == [SEGMENT, 2 * SEGMENT, HEAD]


@given(seq=st.one_of(st.integers(1, HEAD), st.integers(2 * SEGMENT - 3, HEAD)), bit=st.integers(0, 10_000))
@settings(max_examples=examples(20), deadline=None)
def test_any_flipped_bit_of_an_event_is_found_and_its_seq_is_named(seq: int, bit: int) -> None:
    value = value_of("events", pack_seq(seq))
    changed = flipped(value, bit % (8 * len(value)))
    report = verify(store_with(("events", pack_seq(seq), changed)), from_seq=max(1, seq - 1500))
    # A bit of the id may make it the id of another event: then that is found as well.
    assert [(finding.seq, finding.kind) for finding in report.findings if finding.kind != "identity"] == [
        (seq, "event")
    ]


@given(seq=st.integers(1, 2 * SEGMENT), bit=st.integers(0, 255))
@settings(max_examples=examples(30), deadline=None)
def test_a_flipped_bit_of_a_sealed_hash_is_found_and_the_event_is_not_blamed(seq: int, bit: int) -> None:
    key = sealed_row((seq - 1) // SEGMENT)
    changed = flipped(value_of("audit", key), (seq - 1) % SEGMENT * 256 + bit)
    report = verify(store_with(("audit", key, changed)))
    assert [(finding.seq, finding.kind) for finding in report.findings] == [(seq, "hash")]


def test_damage_to_the_other_hash_rows_is_found() -> None:
    tail = leaves_row(2 * SEGMENT + 1)
    first_of_segment = root_row(1)
    changes: tuple[tuple[Family, bytes, bytes | None, int, str], ...] = (
        ("audit", first_of_segment, flipped(value_of("audit", first_of_segment), 7), SEGMENT + 1, "hash"),
        ("audit", first_of_segment, None, SEGMENT + 1, "hash"),
        ("audit", sealed_row(1), None, SEGMENT + 1, "hash"),
        ("audit", sealed_row(1), value_of("audit", sealed_row(1))[:-5], 2 * SEGMENT, "hash"),
        ("audit", tail, flipped(value_of("audit", tail), 256 + 9), 2 * SEGMENT + 2, "event"),
        ("audit", tail, None, 2 * SEGMENT + 1, "hash"),
    )
    for family, key, value, seq, kind in changes:
        findings = verify(store_with((family, key, value))).findings
        assert (findings[0].seq, findings[0].kind) == (seq, kind), (key, value)


def test_a_missing_event_is_named() -> None:
    for seq in (1, 500, SEGMENT, SEGMENT + 1, HEAD - 1):
        findings = verify(store_with(("events", pack_seq(seq), None))).findings
        assert [(finding.seq, finding.what) for finding in findings] == [(seq, "is missing")]


def test_swapped_events_are_both_named() -> None:
    one, two = pack_seq(100), pack_seq(200)
    findings = verify(
        store_with(("events", one, value_of("events", two)), ("events", two, value_of("events", one)))
    ).findings
    assert {finding.seq for finding in findings} == {100, 200}


def test_an_id_that_is_stored_twice_is_named() -> None:
    for numbers in (
        (5, 6, 5),
        (*range(1, SEGMENT + 1), 5),
        (*range(1, SEGMENT + 1), 7, *range(SEGMENT + 1, 2 * SEGMENT)),
    ):
        opened = OpenJournal(MemoryStore())
        opened.append(*(new_event(number) for number in numbers))
        opened.close()
        twice = next(at for at, number in enumerate(numbers) if number in numbers[:at])
        kinds = [(finding.seq, finding.kind) for finding in verify(opened.store).findings]
        assert kinds == [(twice + 1, "identity")]


def test_a_changed_index_row_is_found_and_called_mendable() -> None:
    for family in ("index", "ids"):
        key, value = random.Random(1).choice(good()[0][family])
        for changed in (None, flipped(value, 3)):
            findings = verify(store_with((family, key, changed))).findings
            assert findings
            assert {finding.kind for finding in findings} <= {"index", "identity"}


@pytest.mark.parametrize(
    ("old", "size"), [(37, 74), (SEGMENT - 1, SEGMENT), (37 * 30, HEAD), (HEAD, HEAD), (1998, 2072)]
)
def test_proofs_from_the_store_hold_against_roots_that_were_told_earlier(old: int, size: int) -> None:
    store, roots = store_with(), good()[2]
    ranges = stored_roots(store, HEAD)
    told = roots.get(size, ranges(0, size))
    proof = consistency_proof(old, size, ranges)
    assert consistency_holds(old, size, roots.get(old, ranges(0, old)), told, proof)
    for seq in (1, old, size):
        leaf = ranges(seq - 1, seq)
        assert inclusion_holds(leaf, seq - 1, size, inclusion_proof(seq - 1, size, ranges), told)


def test_a_body_that_was_swapped_for_another_is_found() -> None:
    framed = value_of("events", pack_seq(50))
    head, meta, body, _ = split(framed)
    forged = frame(head, meta, body.replace(b"x", b"y"))
    assert [finding.seq for finding in verify(store_with(("events", pack_seq(50), forged))).findings] == [50]
