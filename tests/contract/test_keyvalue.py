"""What every KeyValue promises, run on RocksDB and on its twin in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.rows.rocks import RocksStore
from tests.search import examples


@pytest.fixture(params=["rocks", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    opened: KeyValue = RocksStore(tmp_path / "store") if request.param == "rocks" else MemoryStore()
    yield opened
    opened.close()


def put(store: KeyValue, *rows: tuple[bytes, bytes]) -> None:
    batch = store.batch()
    batch.put_all("index", rows)
    store.write(batch)


def test_a_row_that_was_never_written_is_none(store: KeyValue) -> None:
    assert store.get("events", b"nothing") is None
    assert store.get_many("events", [b"a", b"b"]) == [None, None]
    assert store.get_many("events", []) == []


def test_families_do_not_see_each_other(store: KeyValue) -> None:
    batch = store.batch()
    for family in FAMILIES:
        batch.put(family, b"key", family.encode())
    store.write(batch)
    assert [store.get(family, b"key") for family in FAMILIES] == [family.encode() for family in FAMILIES]
    assert all(store.scan(family, b"", limit=9) == [(b"key", family.encode())] for family in FAMILIES)


def test_an_empty_value_is_not_a_missing_one(store: KeyValue) -> None:
    put(store, (b"key", b""))
    assert store.get("index", b"key") == b""
    assert store.get_many("index", [b"key", b"kex"]) == [b"", None]


def test_get_many_answers_in_the_order_of_the_keys_and_repeats_repeated_ones(store: KeyValue) -> None:
    put(store, (b"a", b"1"), (b"b", b"2"))
    assert store.get_many("index", [b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]


def test_a_later_step_of_a_batch_wins(store: KeyValue) -> None:
    batch = store.batch()
    batch.put("index", b"a", b"1")
    batch.delete("index", b"a")
    batch.put("index", b"b", b"1")
    batch.delete_range("index", b"a", b"c")
    batch.put("index", b"b", b"2")
    store.write(batch)
    assert store.scan("index", b"", limit=9) == [(b"b", b"2")]


def test_a_batch_shows_nothing_before_it_is_written(store: KeyValue) -> None:
    batch = store.batch()
    batch.put("index", b"a", b"1")
    assert store.get("index", b"a") is None
    store.write(batch)
    assert store.get("index", b"a") == b"1"


def test_a_range_delete_keeps_its_end(store: KeyValue) -> None:
    put(store, (b"a", b""), (b"b", b""), (b"c", b""), (b"d", b""))
    batch = store.batch()
    batch.delete_range("index", b"b", b"d")
    store.write(batch)
    assert [key for key, _ in store.scan("index", b"", limit=9)] == [b"a", b"d"]


@pytest.mark.parametrize(
    ("start", "prefix", "limit", "reverse", "expected"),
    [
        (b"", b"", 9, False, [b"a1", b"a2", b"b1", b"b2", b"c"]),
        (b"a2", b"", 9, False, [b"a2", b"b1", b"b2", b"c"]),
        (b"a3", b"", 2, False, [b"b1", b"b2"]),
        (b"a", b"a", 9, False, [b"a1", b"a2"]),
        (b"b", b"a", 9, False, []),
        (b"c", b"c", 9, False, [b"c"]),
        (b"\xff", b"", 9, True, [b"c", b"b2", b"b1", b"a2", b"a1"]),
        (b"b1", b"", 9, True, [b"b1", b"a2", b"a1"]),
        (b"b1", b"b", 9, True, [b"b1"]),
        (b"b11", b"b", 9, True, [b"b1"]),
        (b"a", b"", 9, True, []),
        (b"b\xff", b"b", 1, True, [b"b2"]),
        (b"", b"", 0, False, []),
    ],
)
def test_a_scan_starts_at_its_key_and_ends_with_its_prefix(
    store: KeyValue, start: bytes, prefix: bytes, limit: int, reverse: bool, expected: list[bytes]
) -> None:
    put(store, *((key, key) for key in (b"b2", b"a1", b"c", b"a2", b"b1")))
    rows = store.scan("index", start, prefix=prefix, limit=limit, reverse=reverse)
    assert rows == [(key, key) for key in expected]
    if not reverse and not prefix:
        assert store.values("index", start, limit) == expected


@pytest.mark.parametrize(("max_bytes", "count"), [(1, 1), (10, 1), (11, 2), (400, 40), (401, 41), (5000, 100)])
def test_a_read_ends_with_the_row_that_reaches_its_bytes(store: KeyValue, max_bytes: int, count: int) -> None:
    put(store, *((bytes((at,)), b"ten bytes!") for at in range(100)))
    rows = [(bytes((at,)), b"ten bytes!") for at in range(100)]
    assert store.scan("index", b"", limit=1000, max_bytes=max_bytes) == rows[:count]
    assert store.scan("index", b"\xff", limit=1000, max_bytes=max_bytes, reverse=True) == rows[::-1][:count]
    assert store.values("index", b"", 1000, max_bytes=max_bytes) == [b"ten bytes!"] * count


def test_flush_and_compact_change_nothing_that_is_read(store: KeyValue) -> None:
    put(store, *((bytes((at,)), bytes((at,)) * 100) for at in range(200)))
    batch = store.batch()
    batch.delete_range("index", bytes((50,)), bytes((60,)))
    store.write(batch)
    before = store.scan("index", b"", limit=1000)
    store.sync()
    store.flush()
    store.compact("index", b"", b"\xff")
    assert store.scan("index", b"", limit=1000) == before
    assert len(before) == 190


def test_a_store_on_disk_reads_the_same_after_it_was_closed(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store")
    put(first, (b"k", b"v"))
    first.close()
    second = RocksStore(tmp_path / "store")
    assert second.get("index", b"k") == b"v"
    second.close()


def test_a_checkpoint_is_a_store_of_its_own(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store")
    put(first, (b"k", b"v"))
    first.checkpoint(tmp_path / "copy")
    put(first, (b"later", b"v"))
    copy = RocksStore(tmp_path / "copy")
    assert copy.scan("index", b"", limit=9) == [(b"k", b"v")]
    copy.close()
    first.close()


_KEYS = st.binary(min_size=1, max_size=3)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _KEYS, st.binary(max_size=4)),
        st.tuples(st.just("delete"), _KEYS, st.just(b"")),
        st.tuples(st.just("range"), _KEYS, _KEYS).filter(lambda step: step[1] <= step[2]),
    ),
    max_size=12,
)


def play(store: KeyValue, batches: list[list[tuple[str, bytes, bytes]]]) -> None:
    for steps in batches:
        batch = store.batch()
        for what, key, other in steps:
            if what == "put":
                batch.put("index", key, other)
            elif what == "delete":
                batch.delete("index", key)
            else:
                batch.delete_range("index", key, other)
        store.write(batch)


@given(
    batches=st.lists(_STEPS, max_size=6),
    reads=st.lists(st.tuples(_KEYS, st.binary(max_size=2), st.integers(0, 5), st.booleans()), min_size=1, max_size=6),
)
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rocks_and_memory_answer_alike_to_any_batches(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, bytes, bytes]]],
    reads: list[tuple[bytes, bytes, int, bool]],
) -> None:
    rocks, memory = RocksStore(tmp_path_factory.mktemp("kv") / "store"), MemoryStore()
    try:
        play(rocks, batches)
        play(memory, batches)
        for start, prefix, limit, reverse in reads:
            rows = [
                store.scan("index", start, prefix=prefix, limit=limit, reverse=reverse) for store in (rocks, memory)
            ]
            assert rows[0] == rows[1]
            assert rocks.values("index", start, limit) == memory.values("index", start, limit)
            assert rocks.get("index", start) == memory.get("index", start)
    finally:
        rocks.close()
