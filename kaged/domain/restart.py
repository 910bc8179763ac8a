"""When to try again, and when to stop trying: back-off and restart windows as plain arithmetic.

Two questions, kept apart on purpose. *How long does one child wait before its next start?* is the back-off,
counted per child. *Has a supervisor seen too many restarts?* is the window, counted per supervisor over all of
its children, as OTP does it. Nothing here reads a clock or chance: times are microseconds, jitter is a number
in [0, 1), both given by the caller. Storing the results is the caller's work too.
"""

from bisect import bisect_left, insort

from kaged.domain.frozen import frozen

MICROSECONDS = 1_000_000


@frozen
class Backoff:
    """Exponential, full jitter, capped; forgotten after `healthy_after_s` of running.

    The n-th failure in a row (from 0) waits a random time between 0 and min(max_s, base_s * factor**n).
    """

    base_s: float = 1.0
    factor: float = 2.0
    max_s: float = 300.0
    healthy_after_s: float = 60.0


def ceiling_us(backoff: Backoff, failures: int) -> int:
    """The longest wait, in microseconds, after `failures` earlier failures in a row."""
    try:
        wanted_s = backoff.base_s * backoff.factor**failures
    except OverflowError:  # hundreds of failures; the cap was reached long ago
        wanted_s = backoff.max_s
    return int(min(backoff.max_s, wanted_s) * MICROSECONDS)


def delay_us(backoff: Backoff | None, failures: int, jitter: float) -> int:
    """The wait before the next start, in microseconds; 0 without a back-off, as OTP restarts at once."""
    return 0 if backoff is None else int(ceiling_us(backoff, failures) * jitter)


def failures_after(backoff: Backoff | None, failures: int, ran_us: int) -> int:
    """How many failures in a row count against a child that has now run for `ran_us` and ended."""
    if backoff is None or ran_us >= backoff.healthy_after_s * MICROSECONDS:
        return 0
    return failures


def judge(window: tuple[int, ...], at_us: int, *, intensity: int, period_us: int) -> tuple[tuple[int, ...], bool]:
    """Add a restart to a sorted window. Returns the pruned window and whether it is now too much.

    A restart counts at its own time, not at the time it was noticed, so exits that are found after a downtime
    do not all count as "now". Too much means: some span of `period_us` (both ends included) that holds this
    restart holds more than `intensity` restarts, this one counted. What lies more than a period before this
    restart is forgotten.
    """
    kept = list(window[bisect_left(window, at_us - period_us) :])
    insort(kept, at_us)
    # Only spans that hold this restart matter: with the newest one, as nearly always, that is a single one.
    mine = bisect_left(kept, at_us)
    first, last = max(0, mine - intensity), min(mine, len(kept) - 1 - intensity)
    exceeded = any(kept[start + intensity] - kept[start] <= period_us for start in range(first, last + 1))
    return tuple(kept), exceeded
