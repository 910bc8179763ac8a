"""How much chance searches: `KAGE_SEARCH=20` gives each property 20 times its examples (`make search`).

The plain numbers are for a gate of a minute on a small machine; nights have more time.
"""

import os
from typing import Final

TIMES: Final = max(1, int(os.environ.get("KAGE_SEARCH", "1")))


def examples(plain: int) -> int:
    """So many examples, or a multiple."""
    return plain * TIMES
