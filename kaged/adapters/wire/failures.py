"""Why a turn failed, out of what an agent's program says of its errors. Pure.

Stable words and numbers of a protocol come first (each adapter knows its own); texts are read only where a program
has nothing better, and only texts of its own about an error: never what a model said. In doubt it is `other`, which
is tried again and counted.
"""

import re
from typing import Final

from kaged.domain.late_pattern import late_pattern
from kaged.domain.signals import FailureWord

_TEXTS: Final[tuple[tuple[FailureWord, tuple[str, ...]], ...]] = (
    (
        "context_exhausted",
        (
            r"prompt is too long",
            r"context.{0,3}(window|length|limit)",
            r"ran out of room in the model",
            r"input is too long for",
            r"maximum context",
        ),
    ),
    (
        "auth",
        (
            r"\b(401|403) (unauthorized|forbidden)",
            r"\bunauthori[sz]ed\b",
            r"(invalid|incorrect) (api|authentication|x-api)[ -]?(key|token)",
            r"(api key|token|credentials?|session|login) (has |have |is |are )?(expired|revoked)",
            r"not (logged|signed) in|please (run )?/?(log|sign) ?in",
            r"auth_required|authentication.{0,10}(required|failed|error)",
            r"credit balance is too low",
        ),
    ),
    (
        "rate_limit",
        (
            r"(usage|rate).?limit",
            r"quota (was |has been |is )?exceeded|exceeded your (current )?quota|resource_exhausted",
            r"too many requests|\b429\b",
        ),
    ),
)
_PATTERNS: Final = tuple((word, late_pattern("|".join(texts), re.IGNORECASE)) for word, texts in _TEXTS)
_STATUSES: Final[dict[int, FailureWord]] = {401: "auth", 402: "auth", 403: "auth", 429: "rate_limit"}
_MAX_CHARS: Final = 4000  # the beginning of an error says what it is


def by_text(said: str) -> FailureWord:
    """The class of an error that is known by its words only."""
    for word, pattern in _PATTERNS:
        if pattern.search(said[:_MAX_CHARS]):
            return word
    return "other"


def by_status(status: int) -> FailureWord:
    """The class of an answer of a model's HTTP API; empty: the status does not tell."""
    return _STATUSES.get(status, "")
