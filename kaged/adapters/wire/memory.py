"""What an adapter remembers between two pieces of output: the state that the journal keeps for it. Pure.

A few values by name, and texts by their key (open calls, questions). A line is heard whole or not at all: `mark`
before it, `go_back` when nothing of it is to be kept. Neither costs anything as long as nothing is changed, and a
state that was not changed is given back as it came. Bounded: some 4 KiB of the 8 that a state may have.
"""

import json
from typing import Final, Literal

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json

_MAX_MAP_BYTES: Final = {"calls": 2 << 10, "asks": 1 << 10}
_compact: Final = json.JSONEncoder(separators=(",", ":")).encode


class Memory:
    """One that we did not write is as good as none: hearing goes on, counting begins anew."""

    def __init__(self, state: bytes) -> None:
        self._given: bytes | None = state  # None: what is remembered is not what was given
        self._marked: dict[str, Json] | None = None
        try:
            self._values = dict(fields.parsed(state)) if state else {}
        except (ValueError, RecursionError):
            self._values, self._given = {}, None

    # --- reading -------------------------------------------------------------------------------------------------

    def count(self, name: str, most: int = fields.MAX_COUNT) -> int:
        """A whole number; 0 if it was never kept."""
        return fields.count(self._values, name, most)

    def flag(self, name: str) -> bool:
        """Whether it is set."""
        return self._values.get(name) is True

    def word(self, name: str) -> str:
        """A text of at most 256 bytes; empty if it was never kept."""
        return fields.word(self._values, name)

    def text(self, name: str) -> str:
        """A text as it was kept; empty if it was not."""
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def map(self, name: str) -> dict[str, Json]:
        """All texts under their keys, the oldest first."""
        known = self._values.get(name)
        return dict(known) if isinstance(known, dict) else {}

    # --- changing ------------------------------------------------------------------------------------------------

    def keep(self, name: str, value: int | bool | str) -> None:
        """Remember it; nothing, 0 and False take no room."""
        if value:
            self._change()[name] = value
        elif name in self._values:
            del self._change()[name]

    def add(self, name: Literal["calls", "asks"], key: str, value: str) -> None:
        """Remember a text under a key; of too many the oldest are forgotten."""
        known = self.map(name)
        known.pop(key, None)
        known[key] = value
        too_much = len(json.dumps(known)) - _MAX_MAP_BYTES[name]
        while too_much > 0:
            oldest = next(iter(known))
            too_much -= len(json.dumps({oldest: known.pop(oldest)}))
        self._put(name, known)

    def drop(self, name: Literal["calls", "asks"], key: str) -> str:
        """Forget a text and tell what it was; empty if it is not known."""
        known = self.map(name)
        if key not in known:
            return ""
        value = fields.as_text(known.pop(key))
        self._put(name, known)
        return value

    def _put(self, name: str, known: dict[str, Json]) -> None:
        if known:
            self._change()[name] = known
        else:
            self._change().pop(name, None)

    def _change(self) -> dict[str, Json]:
        """The values, to be changed; what they were is kept for `go_back`. Maps in them are replaced, never changed."""
        if self._marked is None:
            self._marked, self._values = self._values, dict(self._values)
        self._given = None
        return self._values

    # --- a line is heard whole or not at all ---------------------------------------------------------------------

    def mark(self) -> None:
        """From here on changes can be taken back."""
        self._marked = None

    def go_back(self) -> None:
        """Take back what was changed since the mark."""
        if self._marked is not None:
            self._values, self._marked = self._marked, None

    def as_bytes(self) -> bytes:
        """The state; empty as long as nothing is remembered. Maps stay in their order, for it tells the oldest."""
        if self._given is not None:
            return self._given
        if not self._values:
            return b""
        return _compact({name: self._values[name] for name in sorted(self._values)}).encode("ascii")
