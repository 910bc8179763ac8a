"""Colours, and text that is safe to show: what an agent named itself never moves the cursor."""

from dataclasses import dataclass

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Colours text when `enabled`, else leaves it."""

    enabled: bool

    def __call__(self, text: str, colour: str) -> str:
        if not self.enabled or not colour or not text:
            return text
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


PLAIN = Paint(enabled=False)

# C0, DEL, C1, and the marks that turn the direction of text around.
_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
_UNSAFE |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)}
_UNSAFE |= {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


def safe(text: str) -> str:
    """One line of text without anything that a terminal would obey."""
    return text.translate(_UNSAFE)


STATE_COLOURS = {
    "pending": "blue",
    "starting": "blue",
    "running": "green",
    "waiting": "yellow",
    "paused": "yellow",
    "stopping": "yellow",
    "succeeded": "dim",
    "failed": "red",
    "cancelled": "dim",
    "stopped": "dim",
    "ended": "dim",
    "open": "yellow",
    "approved": "green",
    "denied": "red",
    "expired": "dim",
    "withdrawn": "dim",
    "serving": "green",
    "recovering": "yellow",
    "read_only": "red",
    "draining": "yellow",
}
