"""Making what an agent said fit into an event: bounded, printable as UTF-8, and honest about what was cut. Pure.

Agents print megabytes and half characters. Whatever passes through here can be stored and sent as it is. Nothing
is lost by a cut: the raw bytes are in the run's output chunks.
"""

import json
from typing import Final, TypeAlias

from kaged.domain.late_pattern import late_pattern

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

MAX_TEXT_BYTES: Final = 64 << 10
MAX_JSON_BYTES: Final = 256 << 10
MAX_WORD_BYTES: Final = 256
_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LONE_SURROGATE: Final = late_pattern("[\ud800-\udfff]")  # JSON can spell them, UTF-8 and protobuf cannot
_ENVELOPE_BYTES: Final = 64  # what `{"cut":true,"bytes":N,"head":""}` needs besides the head


def clip_text(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """At most `max_bytes` of UTF-8, ending in a mark that tells the whole size if something was cut."""
    if len(text) <= max_bytes and text.isascii():
        return text
    text = _LONE_SURROGATE.sub("\ufffd", text)
    if len(text) * 4 <= max_bytes:
        return text
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text
    mark = f"… [cut: {len(raw)} bytes in all]"
    room = max_bytes - len(mark.encode())
    return (_head(raw, room) + mark) if room > 0 else _head(raw, max_bytes)


def clip_json(value: Json, max_bytes: int = MAX_JSON_BYTES) -> str:
    """Compact JSON of at most `max_bytes`; a longer one becomes `{"cut":true,"bytes":…,"head":"…"}`."""
    return clip_json_text(_compact(value), max_bytes)


def clip_json_text(text: str, max_bytes: int = MAX_JSON_BYTES) -> str:
    """The same for what is JSON already."""
    text = _LONE_SURROGATE.sub("\ufffd", text)
    if len(text) * 4 <= max_bytes:
        return text
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text
    # JSON text holds no bare control character, so quoting it once more at most doubles it.
    cut: Json = {"cut": True, "bytes": len(raw), "head": _head(raw, (max_bytes - _ENVELOPE_BYTES) // 2)}
    return _compact(cut)


def clip_word(text: str) -> str:
    """A name or a word: one line of at most 256 bytes."""
    return clip_text(" ".join(text.split()), MAX_WORD_BYTES)


def readable(raw: bytes) -> str:
    """Any bytes as text of a bounded size; what is no UTF-8 becomes replacement characters."""
    if len(raw) <= MAX_TEXT_BYTES // 3:  # a replacement character is three bytes
        return raw.decode("utf-8", "replace")
    head = raw[:MAX_TEXT_BYTES].decode("utf-8", "replace")
    if len(raw) <= MAX_TEXT_BYTES and len(head.encode()) <= MAX_TEXT_BYTES:
        return head
    mark = f"… [cut: {len(raw)} bytes in all]"
    return _head(head.encode(), MAX_TEXT_BYTES - len(mark.encode())) + mark


def _head(raw: bytes, max_bytes: int) -> str:
    """The first whole characters of valid UTF-8."""
    return raw[:max_bytes].decode("utf-8", "ignore")
