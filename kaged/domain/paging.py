"""Page sizes and page tokens of list methods (AIP-158).

A token is opaque to callers: where the next page starts (the method's own cursor bytes) bound to the method
and to every other argument, so that a token cannot silently continue a different question. `page_size` is
not bound: AIP-158 lets it change between pages.

    version 1 byte | arguments 8 bytes | check 4 bytes | cursor     as unpadded URL-safe base64

Tokens survive a restart of the daemon, hold no time and no state, and are **not a secret or a permission**:
anyone may forge one, so a method checks its caller on every page and treats the cursor as a position only.
A list whose arguments depend on the time of the call (a filter with "5m") keeps that time in its cursor and
binds the filter's text, not its parsed form.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence

from kaged.domain.errors import Invalid

MAX_CURSOR_BYTES = 1024
MAX_TOKEN_CHARS = (13 + MAX_CURSOR_BYTES) * 4 // 3 + 3

_VERSION = b"\x01"
_ARGUMENTS_BYTES = 8
_CHECK_BYTES = 4
_HEAD_BYTES = len(_VERSION) + _ARGUMENTS_BYTES + _CHECK_BYTES

Argument = str | bytes | bool | int | None | Sequence[str]


def parse_page_size(requested: int, *, default: int, maximum: int, path: str = "page_size") -> int:
    """Rows to return: 0 is the default, more than the maximum is the maximum, less than 0 is Invalid."""
    if requested < 0:
        raise Invalid((path, f"{requested} is negative; 0 means the default of {default}"))
    return min(requested or default, maximum)


def write_page_token(cursor: bytes, *, method: str, arguments: Mapping[str, Argument]) -> str:
    """The token of the page that starts at `cursor` (at most 1 KiB, may be empty). Never the empty string."""
    if len(cursor) > MAX_CURSOR_BYTES:
        raise ValueError(f"a cursor of {len(cursor)} bytes; at most {MAX_CURSOR_BYTES}")
    bound = _VERSION + _digest(method, arguments)
    return _encode(bound + _check(bound, cursor) + cursor)


def read_page_token(
    token: str, *, method: str, arguments: Mapping[str, Argument], path: str = "page_token"
) -> bytes | None:
    """The cursor in the token, or None for "" (the first page). Raises Invalid for anything else."""
    if not token:
        return None
    raw = _decode(token)
    if raw is None or len(raw) < _HEAD_BYTES:
        raise _garbage(path)
    bound, check = raw[: 1 + _ARGUMENTS_BYTES], raw[1 + _ARGUMENTS_BYTES : _HEAD_BYTES]
    cursor = raw[_HEAD_BYTES:]
    if check != _check(bound, cursor) or bound[:1] != _VERSION:
        raise _garbage(path)
    if bound[1:] != _digest(method, arguments):
        raise Invalid(
            (path, "belongs to a request with other arguments"),
            hint="repeat every argument but page_size unchanged, or leave page_token empty to start again",
        )
    return cursor


def _garbage(path: str) -> Invalid:
    return Invalid(
        (path, "is not a token that this method gave"),
        hint="pass next_page_token of the last answer unchanged, or leave it empty to start again",
    )


def _digest(method: str, arguments: Mapping[str, Argument]) -> bytes:
    """Names, types and values, each with its length, so that no two sets of arguments run together."""
    digest = hashlib.sha256(_framed(method.encode("utf-8", "surrogatepass")))
    for name in sorted(arguments):
        value = arguments[name]
        digest.update(_framed(name.encode()))
        if isinstance(value, str | bytes) or value is None or isinstance(value, int):
            digest.update(_scalar(value))
        else:
            digest.update(b"[" + len(value).to_bytes(4, "big"))
            for item in value:
                digest.update(_scalar(item))
    return digest.digest()[:_ARGUMENTS_BYTES]


def _scalar(value: str | bytes | int | None) -> bytes:
    match value:
        case None:
            return b"n"
        case str():
            return b"s" + _framed(value.encode("utf-8", "surrogatepass"))
        case bytes():
            return b"b" + _framed(value)
        case _:
            return b"i" + _framed(str(int(value)).encode())


def _framed(value: bytes) -> bytes:
    return len(value).to_bytes(8, "big") + value


def _check(bound: bytes, cursor: bytes) -> bytes:
    return hashlib.sha256(b"kage page token" + bound + cursor).digest()[:_CHECK_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(token: str) -> bytes | None:
    if len(token) > MAX_TOKEN_CHARS:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters outside of ASCII
        return None
    # One spelling for each token: base64 ignores the last bits of an odd tail.
    return raw if _encode(raw) == token else None
