"""`late_pattern`: a regular expression that is compiled when it is first used.

Compiling those of kaged at import was some 3 % of its start (measured), and most of them wait for a filter or for an
agent that may never come. Means the same as `re.compile` for who calls its methods; one more look-up at the
first call of each method, none after it. Not here: use as an argument of `re`'s functions, which want the real one.
"""

import re
from typing import cast


def late_pattern(source: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`. An error in the expression is raised at its first use: each has a test that uses it."""
    return cast("re.Pattern[str]", _Late(source, flags))


class _Late:
    def __init__(self, source: str, flags: int) -> None:
        self._source = source
        self._flags = flags

    def __getattr__(self, name: str) -> object:
        """What is not there yet: from then on it is. Two threads at once compile it twice: no harm."""
        found = getattr(re.compile(self._source, self._flags), name)
        setattr(self, name, found)
        return found
