"""The owner of the RocksDB handles: the only file that imports rocksdict.

Traps of the binding, each measured (docs/decisions/0002-rocksdb.md):
- `write`/`put` hold the GIL, with `sync` through the whole fsync. So: `write` without sync, then `flush_wal(True)`,
  which lets go of it and also syncs logs that were rolled in between.
- Iterators, single `get`, open and Checkpoint hold the GIL: slices stay short, `flush` comes before Checkpoint.
- Iterator bounds are broken (the lower sets the upper; the upper keeps a dangling pointer): bounds are compared here.
- `items()`/`values()` end at a damaged block as if the rows ended there: an end is confirmed by `status()`.
- Without CURRENT, `create_if_missing` makes a new empty store among the old files: refused here.
- Any living family, handle or iterator keeps the LOCK after `close`: all of them live in this object only.
- Errors are plain `Exception` with RocksDB's text: classified here, once.
- After a write or sync that met a full disk RocksDB refuses all writes and mends itself some seconds after there is
  room (all tables flushed, a new log begun); the binding has no call for that: `resume` looks whether it has happened.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from time import monotonic
from typing import Final, TypeVar, cast

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    BottommostLevelCompaction,
    Cache,
    Checkpoint,
    ColumnFamily,
    CompactOptions,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from kaged.domain.errors import Broken, KageError
from kaged.store.rows.keys import FAMILIES, Family
from kaged.store.rows.keyvalue import NO_LIMIT, Batch, DiskFull, StoreBusy, StoreCorrupt, StoreFailed

_MIB: Final = 1 << 20
_MAX_WAL_BYTES: Final = 24 * _MIB  # bounds the replay after a kill: about 15 ms per MiB here
_BLOCK_CACHE_BYTES: Final = 16 * _MIB
_SLICE_ROWS: Final = 32
_ROOM_BYTES: Final = 64 * _MIB
_STUCK_S: Final = 60.0
_ROCKS_DEFAULT: Final = "default"
_RAW_FAMILIES: Final = tuple(family for family in FAMILIES if family != "meta")  # meta is RocksDB's `default`
_Row = TypeVar("_Row")


class _RocksBatch:
    def __init__(self, handles: dict[Family, ColumnFamily]) -> None:
        self.raw = WriteBatch(raw_mode=True)
        self._handles = handles

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        self.raw.put(key, value, self._handles[family])

    def put_all(self, family: Family, rows: Iterable[tuple[bytes, bytes]]) -> None:
        put, handle = self.raw.put, self._handles[family]
        for key, value in rows:
            put(key, value, handle)

    def delete(self, family: Family, key: bytes) -> None:
        self.raw.delete(key, self._handles[family])

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        self.raw.delete_range(start, end, self._handles[family])


class RocksStore:
    """An open RocksDB. The constructor holds the GIL for some 15 ms, longer after a kill: call it off the loop.

    Raises StoreBusy when another process has it, StoreCorrupt when its files are damaged (nothing is repaired
    or deleted), DiskFull, StoreFailed. `read_only`: changes no file, also not the log that a kill left behind.
    `beside`: read only as well, while another process writes: the store as it is at this moment. Tables that the
    writer deletes meanwhile stay readable, because all are opened at once; one that went in between, or a file of
    large bodies, is StoreCorrupt: try again. (RocksDB's secondary mode is meant for this; it crashed, found by the
    soak, beside a daemon that had just been started.)
    """

    def __init__(self, path: Path, *, read_only: bool = False, beside: bool = False) -> None:
        _refuse_headless(path)
        cache = Cache(_BLOCK_CACHE_BYTES)
        families: dict[str, Options] = {family: _family_options(family, cache) for family in _RAW_FAMILIES}
        try:
            options = _database_options(cache)
            access = AccessType.read_only(False) if read_only or beside else AccessType.read_write()
            if beside:
                options.set_max_open_files(-1)
            self._db: Rdict | None = Rdict(str(path), options=options, column_families=families, access_type=access)
            self._families: dict[Family, Rdict] = {
                family: self._db.get_column_family(family) for family in _RAW_FAMILIES
            }
            self._handles: dict[Family, ColumnFamily] = {
                family: self._db.get_column_family_handle(family) for family in _RAW_FAMILIES
            }
            self._handles["meta"] = self._db.get_column_family_handle(_ROCKS_DEFAULT)
        except Exception as error:
            raise classify(error, path) from error
        self._families["meta"] = self._db
        self._path = path
        self._unsynced = WriteOptions()
        self._torn_log = 0  # number of the last log that a full disk may have left with half a record at its end
        self._room_since_s = 0.0

    def batch(self) -> Batch:
        return _RocksBatch(self._handles)

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, _RocksBatch)
        assert self._db is not None
        try:
            self._db.write(batch.raw, self._unsynced)
        except Exception as error:
            raise self._refused(error) from error

    def sync(self) -> None:
        assert self._db is not None
        try:
            self._db.flush_wal(True)
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> KageError:
        failure = classify(error, self._path)
        if isinstance(failure, DiskFull):
            number, size = self._newest_log()
            self._torn_log = max(self._torn_log, number if size else 0)
        return failure

    def _newest_log(self) -> tuple[int, int]:
        """Number and size."""
        logs = [(int(path.stem), path) for path in self._path.glob("*.log") if path.stem.isdigit()]
        number, path = max(logs, default=(0, None))
        return number, path.stat().st_size if path is not None else 0

    def resume(self) -> None:
        try:
            if self._torn_log and self._newest_log()[0] <= self._torn_log:
                # Appending behind half a record would lose what follows at the next start, and a sync of bytes whose
                # sync has failed before proves nothing.
                raise _full(self._path)
            # Asked by an empty write, which is refused at once. Flushing every time would keep RocksDB from mending
            # itself: that waits until nobody flushes.
            self.write(self.batch())
        except DiskFull:
            self._look_for_room()
            raise
        self.flush()
        self._torn_log, self._room_since_s = 0, 0.0

    def _look_for_room(self) -> None:
        """Give up when there is room and RocksDB does not see it: a new start does."""
        if disk_usage(self._path).free < _ROOM_BYTES:
            self._room_since_s = 0.0
        elif not self._room_since_s:
            self._room_since_s = monotonic()
        elif monotonic() - self._room_since_s > _STUCK_S:
            raise StoreFailed(f"the store {self._path} does not go on although there is room", hint="start kaged again")

    def get(self, family: Family, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            raise classify(error, self._path) from error
        return value

    def get_many(self, family: Family, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        try:
            values = cast("list[bytes | None]", self._families[family].get(list(keys)))
        except Exception as error:
            raise classify(error, self._path) from error
        return values

    def scan(
        self,
        family: Family,
        start: bytes,
        *,
        prefix: bytes = b"",
        limit: int,
        reverse: bool = False,
        max_bytes: int = NO_LIMIT,
    ) -> list[tuple[bytes, bytes]]:
        try:
            found = self._families[family].items(from_key=start, backwards=reverse)
            rows, ended = _take(cast("Iterator[tuple[bytes, bytes]]", found), limit, max_bytes, _value_bytes)
            del found  # a living iterator would keep the LOCK
            if ended:
                self._confirm_end(family, rows[-1][0] if rows else start, reverse=reverse)
        except Exception as error:
            raise classify(error, self._path) from error
        if prefix:
            for at, (key, _) in enumerate(rows):
                if not key.startswith(prefix):
                    return rows[:at]
        return rows

    def values(self, family: Family, start: bytes, limit: int, *, max_bytes: int = NO_LIMIT) -> list[bytes]:
        options = ReadOptions()
        # A long read passes each block once: through the cache it would cost a third more and push out what others
        # come back to.
        options.fill_cache(False)  # type: ignore[call-arg]  # the binding's stubs forget the argument
        try:
            found = self._families[family].values(from_key=start, read_opt=options)
            values, ended = _take(cast("Iterator[bytes]", iter(found)), limit, max_bytes, len)
            del found
        except Exception as error:
            raise classify(error, self._path) from error
        # The keys of an ended read are not known here: read it again, which confirms the end.
        if not ended:
            return values
        return [value for _, value in self.scan(family, start, limit=limit, max_bytes=max_bytes)]

    def _confirm_end(self, family: Family, last: bytes, *, reverse: bool) -> None:
        rows = self._families[family].iter()
        try:
            if reverse:
                rows.seek_for_prev(last)
            else:
                rows.seek(last)
            if rows.valid() and rows.key() == last:
                if reverse:
                    rows.prev()
                else:
                    rows.next()
            rows.status()
        finally:
            del rows  # a living iterator would keep the LOCK

    def flush(self) -> None:
        try:
            for family in self._families.values():
                family.flush(True)
        except Exception as error:
            raise classify(error, self._path) from error

    def compact(self, family: Family, start: bytes, end: bytes) -> None:
        options = CompactOptions()
        options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        try:
            # All blob files are garbage collected, also young ones, and only now: that costs a rewrite.
            if family == "events":
                self._families[family].set_options({"blob_garbage_collection_age_cutoff": "1.0"})
            self._families[family].compact_range(start, end, options)
        except Exception as error:
            raise classify(error, self._path) from error
        finally:
            if family == "events":
                self._families[family].set_options({"blob_garbage_collection_age_cutoff": "0.25"})

    def checkpoint(self, target: Path) -> None:
        self.flush()
        assert self._db is not None
        Checkpoint(self._db).create_checkpoint(str(target))

    def property(self, family: Family, name: str) -> str:
        return str(self._families[family].property_value(name) or "")

    def close(self) -> None:
        if self._db is None:
            return
        database, self._db = self._db, None
        self._handles.clear()
        self._families.clear()
        # A full or failing disk cannot take the last memory tables. What was synced is in the log, and the rest
        # was never acknowledged: nothing is lost by it, and who closes has no better answer.
        with suppress(Exception):
            database.close()


def _take(found: Iterator[_Row], limit: int, max_bytes: int, size_of: Callable[[_Row], int]) -> tuple[list[_Row], bool]:
    """Rows up to the one that reaches either bound, and whether there were no more.

    In slices, so that a page of the largest events is not first held whole: counting each would cost more than
    reading it.
    """
    rows: list[_Row] = []
    size = 0
    while (wanted := min(_SLICE_ROWS, limit - len(rows))) > 0:
        some = list(islice(found, wanted))
        more = sum(map(size_of, some))
        if size + more >= max_bytes:
            for row in some:
                rows.append(row)
                size += size_of(row)
                if size >= max_bytes:
                    return rows, False
        rows += some
        size += more
        if len(some) < wanted:
            return rows, True
    return rows, False


def _value_bytes(row: tuple[bytes, bytes]) -> int:
    return len(row[1])


def _refuse_headless(path: Path) -> None:
    """A store that lost its CURRENT file looks new to RocksDB, which would then delete the rest."""
    if not path.is_dir() or (path / "CURRENT").exists():
        return
    for file in path.iterdir():
        if file.suffix in {".sst", ".blob"} or (file.suffix == ".log" and file.stat().st_size):
            raise StoreCorrupt(
                f"the store {path} has lost its file CURRENT",
                hint="nothing was changed; copy the folder away, then restore a backup, or write the name of the "
                "newest MANIFEST file and a newline into CURRENT",
            )


def classify(error: Exception, path: Path) -> KageError:
    """RocksDB's text as one of our errors."""
    text = str(error)
    lowered = text.lower()
    if "no space left" in lowered:
        return _full(path)
    if "disk quota" in lowered:  # RocksDB does not go on after this one
        return StoreFailed(f"the quota for {path} is used up", hint="raise it; the daemon stops, agents go on")
    if "lock" in lowered and ("resource temporarily unavailable" in lowered or "no locks available" in lowered):
        return StoreBusy(f"another process has the store {path} open", hint="stop it, or use another --state-dir")
    damaged = (
        "corruption",
        "checksum mismatch",
        "bad table magic",
        "not an sstable",
        "no such file",
        "invalid argument",
    )
    if any(word in lowered for word in damaged):
        return StoreCorrupt(
            f"the store {path} is damaged: {text}",
            hint="nothing was changed; copy the folder away, then run `kaged fsck`, or restore a backup",
        )
    if "permission denied" in lowered or "read-only file system" in lowered:
        return StoreFailed(f"the store {path} cannot be written: {text}", hint="check owner and mode of the folder")
    return StoreFailed(f"the store {path} failed: {text}", hint="the daemon stops; see the disk's own log")


def _full(path: Path) -> DiskFull:
    return DiskFull(f"the disk of {path} is full", hint="free some space; nothing acknowledged is lost")


def broken(error: BaseException) -> bool:
    """Whether an error says that the store itself failed."""
    return isinstance(error, Broken)


def _database_options(cache: Cache) -> Options:
    options = _shared_options()
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_background_jobs(2)
    options.set_max_total_wal_size(_MAX_WAL_BYTES)
    options.set_db_write_buffer_size(_MAX_WAL_BYTES)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_bytes_per_sync(_MIB)
    options.set_keep_log_file_num(3)
    options.set_max_log_file_size(_MIB)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_max_open_files(256)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(2 * _MIB)
    options.set_block_based_table_factory(_table(cache, block_bytes=4096, bloom=True))
    return options


def _family_options(family: Family, cache: Cache) -> Options:
    options = _shared_options()
    if family == "events":
        options.set_write_buffer_size(8 * _MIB)
        options.set_target_file_size_base(32 * _MIB)
        options.set_enable_blob_files(True)
        options.set_min_blob_size(16 << 10)
        options.set_blob_compression_type(DBCompressionType.zstd())
        options.set_enable_blob_gc(True)
        options.set_blob_file_size(64 * _MIB)
        options.set_block_based_table_factory(_table(cache, block_bytes=16 << 10, bloom=False))
    elif family == "audit":
        # Hashes do not compress; trying costs time.
        options.set_compression_type(DBCompressionType.none())
        options.set_write_buffer_size(4 * _MIB)
        options.set_block_based_table_factory(_table(cache, block_bytes=16 << 10, bloom=False))
    else:
        options.set_write_buffer_size(4 * _MIB)
        options.set_block_based_table_factory(_table(cache, block_bytes=4096, bloom=True))
    return options


def _shared_options() -> Options:
    options = Options(raw_mode=True)
    # One type at all levels: files then move down without being rewritten (write amplification 1.0 on appends).
    options.set_compression_type(DBCompressionType.zstd())
    options.set_max_write_buffer_number(2)
    # A stall inside `write` would freeze the interpreter: never slow down on level 0.
    options.set_level_zero_slowdown_writes_trigger(1 << 30)
    options.set_level_zero_stop_writes_trigger(1 << 30)
    return options


def _table(cache: Cache, *, block_bytes: int, bloom: bool) -> BlockBasedOptions:
    table = BlockBasedOptions()
    table.set_block_size(block_bytes)
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_format_version(5)
    if bloom:
        table.set_bloom_filter(10, False)
    return table
