"""Durations, signals and keys of labels as people write them: exact, or refused with the right form."""

import signal
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kaged.domain import quantities as q
from kaged.domain.errors import Invalid

H, M, S = 3_600_000_000, 60_000_000, 1_000_000


@pytest.mark.parametrize(
    ("text", "duration_us"),
    [
        ("0", 0),
        ("90", 90 * S),
        ("0.5", S // 2),
        ("1h30m", 90 * M),
        ("1h 30m", 90 * M),
        (" 5m ", 5 * M),
        ("5min", 5 * M),
        ("30sec", 30 * S),
        ("1.5h", 90 * M),
        ("250ms", 250_000),
        ("5 s", 5 * S),
        ("7us", 7),
        ("7µs", 7),
        ("2w1d", 15 * 24 * H),
    ],
)
def test_a_duration_is_read_to_the_microsecond(text: str, duration_us: int) -> None:
    assert q.parse_duration_us(text, path="x") == duration_us


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write 90, 250ms or 1h30m"),
        ("soon", "write 90"),
        ("-5s", "write 90"),
        ("5y", "no unit 'y'"),
        ("5M", "write 90"),
        ("1m1m", "each unit once"),
        ("30m1h", "each unit once"),
        ("1h30", "write 90"),
        ("0.1us", "finer than a microsecond"),
        ("99999999999w", "too long"),
        ("infinity", "not a duration"),
        ("٣m", "not a duration"),
        ("1e3s", "not a duration"),
        ("9" * 5000, "not a duration"),
    ],
)
def test_a_wrong_duration_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        q.parse_duration_us(text, path="limits.wall_time")
    ((path, what),) = refused.value.violations
    assert path == "limits.wall_time"
    assert says in what
    assert len(what) < 200


@pytest.mark.parametrize("text", ["infinity", "never", "Never", " unlimited "])
def test_no_limit_is_none_where_a_limit_may_be_missing(text: str) -> None:
    assert q.parse_duration_limit_us(text, path="x") is None


@given(st.integers(0, q.MAX_DURATION_US))
@example(q.MAX_DURATION_US)
def test_every_microsecond_up_to_the_longest_can_be_written(duration_us: int) -> None:
    seconds, rest = divmod(duration_us, S)
    for text in (f"{duration_us}us", f"{seconds}s{rest}us", f"{seconds}.{rest:06d}"):
        assert q.parse_duration_us(text, path="x") == duration_us


@pytest.mark.parametrize("value", ["TERM", "SIGTERM", "term", "15", 15])
def test_a_signal_is_read_by_name_and_number(value: str | int) -> None:
    assert q.parse_signal(value, path="x") == signal.SIGTERM
    assert q.format_signal(15) == "SIGTERM"


@pytest.mark.parametrize("value", ["", "0", 0, -1, "SIGSIGTERM", "SIG", "IGN", "SIG_DFL", "BLOCK", 9999, "²"])
def test_what_is_no_signal_is_refused(value: str | int) -> None:
    with pytest.raises(Invalid, match="write TERM, SIGTERM or 15"):
        q.parse_signal(value, path="x")


@pytest.mark.parametrize("parse", [q.parse_duration_us, q.parse_signal])
@given(text=st.text() | st.text(alphabet="0123456789.eE+kMGiBhms% ", max_size=70))
@example(text="1e99")
@example(text="\ud800")
def test_no_text_raises_anything_but_invalid(parse: Callable[..., object], text: str) -> None:
    with suppress(Invalid):
        parse(text, path="x")
