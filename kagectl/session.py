"""What one invocation of kagectl was told: where to dial, how to print. Filled by the shared options."""

import os
import sys
from dataclasses import dataclass, field

from kagectl.render.paint import Paint


@dataclass(slots=True, kw_only=True)
class Session:
    """Mutable on purpose: the shared options may stand before or after the command's name."""

    socket: str | None = None
    output: str = "table"
    timeout_s: float | None = None
    colour: bool = field(default_factory=lambda: _colour_wanted())

    @property
    def paint(self) -> Paint:
        """Colours for standard output."""
        return Paint(enabled=self.colour and sys.stdout.isatty())

    @property
    def machine(self) -> bool:
        """Whether a program reads the output."""
        return self.output != "table"


def _colour_wanted() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
