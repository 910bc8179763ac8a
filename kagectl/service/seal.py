"""Whose a file is: what `kagectl daemon install` wrote carries a hash of itself, so that a later one can tell whether
somebody changed it since.

    absent -> write · ours -> write · same -> leave · changed, or never ours -> refuse, unless forced (with a backup)

Pure. Deliberately not here: reading and writing files.
"""

import hashlib
import re
from typing import Literal

Whose = Literal["absent", "same", "ours", "edited"]

_SEAL = re.compile(r"^[^\n]*\bseal:([0-9a-f]{16})\b[^\n]*\n", re.MULTILINE)


def sealed(text: str) -> str:
    """The text with its seal: a comment in front of it, or behind the head of an XML document."""
    seal = f"seal:{_hash(text)}"
    if not text.startswith("<?xml"):
        return f"# Not touched since it was written: {seal}\n{text}"
    at = text.index("\n", text.index("<!DOCTYPE")) + 1
    return f"{text[:at]}<!-- Not touched since it was written: {seal} -->\n{text[at:]}"


def whose(there: str | None, wanted: str, packaged: str = "") -> Whose:
    """Of the text that is in a file (None: there is no file), compared with the one to write (without its seal).

    The `packaged` form of it, copied by hand, is as good as ours: nobody changed it.
    """
    if there is None:
        return "absent"
    if there == sealed(wanted):
        return "same"
    found = _SEAL.search(there)
    bare = _SEAL.sub("", there, count=1)
    if bare in (wanted, packaged or wanted) or (found and found.group(1) == _hash(bare)):
        return "ours"
    return "edited"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
