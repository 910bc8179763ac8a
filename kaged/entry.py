"""The console script of kaged: a system that cannot run it is told so, before anything that it lacks is imported.

Windows: not yet (docs/platforms.md). WSL 2 runs it, and kagectl on Windows can talk to it over its loopback port.
"""

import sys
from collections.abc import Sequence
from typing import Final

EXIT_UNSUPPORTED: Final = 69  # EX_UNAVAILABLE
WORDS: Final = (
    "kaged: kaged does not run on Windows yet — it runs in WSL 2, and kagectl here can talk to it: docs/platforms.md"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns its exit code."""
    if sys.platform == "win32":
        print(WORDS, file=sys.stderr)  # noqa: T201  all that it says
        return EXIT_UNSUPPORTED
    from kaged.cli import main as serve  # noqa: PLC0415  imports what only Unix has

    return serve(argv)


if __name__ == "__main__":
    sys.exit(main())
