"""RFC 3339 times as microseconds since 1970 UTC, and back.

`parse_time_us(format_time(t)) == t` for the years 1 to 9999. A zone is required (Z or an offset): a time
without one means another moment on another machine. Digits after the sixth of a second are cut off.
"""

from datetime import UTC, datetime, timedelta

from kaged.domain.late_pattern import late_pattern

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = late_pattern(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,18}))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
EARLIEST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def parse_time_us(text: str) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 time, or None if it is not one."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    day, clock, fraction, zone = parts.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        # Aware subtraction works in UTC by itself, also where the UTC year would leave 1 to 9999.
        whole_us = (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
    time_us = whole_us + int((fraction or "0")[:6].ljust(6, "0"))
    return time_us if EARLIEST_US <= time_us <= LATEST_US else None


def format_time(time_us: int) -> str:
    """RFC 3339 in UTC with as many digits as needed: "2026-01-02T03:04:05.25Z"."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if moment.microsecond else text) + "Z"
