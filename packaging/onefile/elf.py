"""What the builder must know of an ELF file, and the one thing it changes: the folders it looks for libraries in.

Only 64-bit little-endian files (x86_64, aarch64); another file raises NotElf. Deliberately not here: anything that
moves bytes around. `without_runpath` removes an entry from a table, so a file that runs still runs.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_DYNAMIC, _LOAD = 2, 1
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF


class NotElf(ValueError):
    """Not a file that this machine's loader could load."""


@dataclass(frozen=True)
class Elf:
    """`needed`: names of libraries; `runpath`: where this file alone looks for them; `versions`: such as GLIBC_2.17."""

    soname: str
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    versions: frozenset[str]


def is_elf(path: Path) -> bool:
    """Whether it begins like one."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def read(path: Path) -> Elf:
    """Read it. Raises NotElf."""
    data = path.read_bytes()
    segments = _segments(data)
    entries = [(tag, value) for _, tag, value in _dynamic(data, segments)]
    tags = dict(entries)
    strings = _offset(segments, tags[_STRTAB]) if _STRTAB in tags else 0

    def text(at: int) -> str:
        begin = strings + at
        return data[begin : data.index(b"\0", begin)].decode()

    return Elf(
        soname=text(tags[_SONAME]) if _SONAME in tags else "",
        needed=tuple(text(value) for tag, value in entries if tag == _NEEDED),
        runpath=tuple(text(value) for tag, value in entries if tag in (_RPATH, _RUNPATH)),
        versions=frozenset(
            text(name) for name in _versions(data, segments, tags.get(_VERNEED), tags.get(_VERNEEDNUM, 0))
        ),
    )


def without_runpath(path: Path) -> bool:
    """Remove its RPATH and RUNPATH entries: it then looks where the program that loads it does. True: it had some."""
    data = bytearray(path.read_bytes())
    entries = _dynamic(data, _segments(data))
    kept = [(tag, value) for _, tag, value in entries if tag not in (_RPATH, _RUNPATH)]
    if len(kept) == len(entries):
        return False
    begin = entries[0][0]
    for place, (tag, value) in enumerate(kept + [(0, 0)] * (len(entries) - len(kept))):
        struct.pack_into("<qQ", data, begin + 16 * place, tag, value)
    path.write_bytes(data)
    return True


def _segments(data: bytes | bytearray) -> list[tuple[int, int, int, int]]:
    """(type, offset, address, bytes in the file) of each program header."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise NotElf("not a 64-bit little-endian ELF file")
    start, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    found = []
    for at in range(start, start + size * count, size):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
        found.append((kind, offset, address, length))
    return found


def _dynamic(data: bytes | bytearray, segments: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int]]:
    """(place, tag, value) of each entry before the end mark; none in a static program."""
    for kind, offset, _, length in segments:
        if kind == _DYNAMIC:
            found = []
            for at in range(offset, offset + length, 16):
                tag, value = struct.unpack_from("<qQ", data, at)
                if tag == 0:
                    break
                found.append((at, tag, value))
            return found
    return []


def _offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, begin, length in segments:
        if kind == _LOAD and begin <= address < begin + length:
            return offset + address - begin
    raise NotElf(f"nothing is loaded at {address:#x}")


def _versions(data: bytes, segments: list[tuple[int, int, int, int]], address: int | None, count: int) -> list[int]:
    """Places in the string table of the versions it needs of others."""
    names: list[int] = []
    if address is None:
        return names
    at = _offset(segments, address)
    for _ in range(count):
        _, how_many, _, first, following = struct.unpack_from("<HHIII", data, at)
        inner = at + first
        for _ in range(how_many):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, inner)
            names.append(name)
            inner += step
        at += following
    return names
