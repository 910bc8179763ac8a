"""The system that this is. The one place that chooses."""

import sys
from typing import Final

from kaged.machine.linux import Linux
from kaged.machine.macos import Macos
from kaged.machine.system import System


def system_of(platform: str) -> System:
    """What to ask on `sys.platform`. On others (a BSD) the Linux way finds no /proc, and says that it knows nothing."""
    return Macos() if platform == "darwin" else Linux()


HERE: Final = system_of(sys.platform)
