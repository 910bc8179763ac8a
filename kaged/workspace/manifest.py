"""What a snapshot knows and a git tree cannot hold: modes, empty folders, odd files, repositories inside. Pure.

    Kage-Manifest: {"version":1,"head":"...","modes":{"run.sh":448},"empty":["logs"],...}

One line at the end of the commit's message: canonical JSON in ASCII, paths as `os.fsdecode` gives them. Modes that
most files, programs and folders have are written once. git refuses paths with a part `.git`; such parts are stored
with `.kage-` in front (and so are parts that begin with that), which `stored` and `real` translate.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

LINE: Final = "Kage-Manifest: "
_SHIELD: Final = b".kage-"
_PLAIN: Final = 0o644
_PROGRAM: Final = 0o755
_FOLDER: Final = 0o755


def stored(path: bytes) -> bytes:
    """A path as the tree has it."""
    return b"/".join(_shielded(part) for part in path.split(b"/"))


def _shielded(part: bytes) -> bytes:
    return _SHIELD + part if part.lower() == b".git" or part.startswith(_SHIELD) else part


def real(path: bytes) -> bytes:
    """The path that `stored` made that of."""
    return b"/".join(part.removeprefix(_SHIELD) for part in path.split(b"/"))


@dataclass(slots=True)
class Manifest:
    """See the module. Paths are real ones. `head`: commit that was checked out; `head_ref`: and its branch."""

    head: str = ""
    head_ref: str = ""
    plain: int = _PLAIN
    program: int = _PROGRAM
    folder: int = _FOLDER
    modes: dict[bytes, int] = field(default_factory=dict)
    empty: list[bytes] = field(default_factory=list)
    nested: list[bytes] = field(default_factory=list)
    specials: dict[bytes, int] = field(default_factory=dict)
    unreadable: list[bytes] = field(default_factory=list)

    def set_modes(self, files: Mapping[bytes, int], folders: Mapping[bytes, int]) -> None:
        """Remember modes: the usual ones once, the others by path."""
        self.plain = _usual((mode for mode in files.values() if not mode & 0o100), _PLAIN)
        self.program = _usual((mode for mode in files.values() if mode & 0o100), _PROGRAM)
        self.folder = _usual(folders.values(), _FOLDER)
        for path, mode in files.items():
            if mode != (self.program if mode & 0o100 else self.plain):
                self.modes[path] = mode
        self.modes.update((path, mode) for path, mode in folders.items() if mode != self.folder)

    def file_mode(self, path: bytes, *, program: bool) -> int:
        """Mode bits of a file."""
        return self.modes.get(path, self.program if program else self.plain)

    def folder_mode(self, path: bytes) -> int:
        """Mode bits of a folder."""
        return self.modes.get(path, self.folder)

    def to_line(self) -> str:
        """The line of the commit message."""
        plain = {
            "version": 1,
            "head": self.head,
            "head_ref": self.head_ref,
            "plain": self.plain,
            "program": self.program,
            "folder": self.folder,
            "modes": {os.fsdecode(path): mode for path, mode in self.modes.items()},
            "empty": [os.fsdecode(path) for path in self.empty],
            "nested": [os.fsdecode(path) for path in self.nested],
            "specials": {os.fsdecode(path): mode for path, mode in self.specials.items()},
            "unreadable": [os.fsdecode(path) for path in self.unreadable],
        }
        return LINE + json.dumps(plain, separators=(",", ":"), sort_keys=True, ensure_ascii=True)


def _usual(modes: Iterable[int], default: int) -> int:
    counted = Counter(modes)
    return min(counted, key=lambda mode: (-counted[mode], mode)) if counted else default


def read_manifest(message: str) -> Manifest | None:
    """The manifest in a commit's message; None: the commit is no snapshot of ours, or of a newer shape."""
    for line in message.splitlines():
        if not line.startswith(LINE):
            continue
        found = json.loads(line[len(LINE) :])
        if found["version"] != 1:
            return None
        return Manifest(
            head=found["head"],
            head_ref=found["head_ref"],
            plain=found["plain"],
            program=found["program"],
            folder=found["folder"],
            modes={os.fsencode(path): mode for path, mode in found["modes"].items()},
            empty=[os.fsencode(path) for path in found["empty"]],
            nested=[os.fsencode(path) for path in found["nested"]],
            specials={os.fsencode(path): mode for path, mode in found["specials"].items()},
            unreadable=[os.fsencode(path) for path in found["unreadable"]],
        )
    return None
