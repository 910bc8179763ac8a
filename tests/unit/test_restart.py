"""Back-off and restart windows are arithmetic: checked by table and against a slow definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.domain.restart import Backoff, ceiling_us, delay_us, failures_after, judge

S = 1_000_000
BACKOFF = Backoff(base_s=1, factor=2, max_s=10, healthy_after_s=60)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (5, 10), (100_000, 10)])
def test_the_ceiling_doubles_up_to_its_cap_and_stays_there(failures: int, seconds: int) -> None:
    assert ceiling_us(BACKOFF, failures) == seconds * S


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_nothing_and_its_ceiling(failures: int, jitter: float) -> None:
    assert 0 <= delay_us(BACKOFF, failures, jitter) <= ceiling_us(BACKOFF, failures)


def test_without_a_back_off_there_is_no_wait() -> None:
    assert delay_us(None, 7, 0.9) == 0


@pytest.mark.parametrize(("ran_s", "left"), [(0, 5), (59, 5), (60, 0), (3600, 0)])
def test_failures_are_forgotten_after_a_healthy_time(ran_s: int, left: int) -> None:
    assert failures_after(BACKOFF, 5, ran_s * S) == left


@pytest.mark.parametrize(
    ("exits_s", "intensity", "too_much"),
    [
        ([0], 0, True),  # none allowed
        ([0], 1, False),
        ([0, 1], 1, True),  # the exit that is judged counts
        ([0, 5], 1, True),  # both ends of the period count, as in OTP
        ([0, 5.000001], 1, False),
        ([0, 1, 5.5, 6.5], 2, False),
        ([0, 3, 4, 5], 3, True),
    ],
)
def test_a_window_is_full_when_more_than_intensity_fall_into_a_period(
    exits_s: list[float], intensity: int, too_much: bool
) -> None:
    window: tuple[int, ...] = ()
    for at_s in exits_s:
        window, exceeded = judge(window, int(at_s * S), intensity=intensity, period_us=5 * S)
    assert exceeded is too_much


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(0, 4), st.integers(1, 12))
def test_exits_in_order_are_judged_as_a_plain_count_of_the_last_period(
    times: list[int], intensity: int, period: int
) -> None:
    window: tuple[int, ...] = ()
    for position, now in enumerate(ordered := sorted(times)):
        window, exceeded = judge(window, now, intensity=intensity, period_us=period)
        recent = [at for at in ordered[: position + 1] if at >= now - period]
        assert window == tuple(recent)
        assert exceeded is (len(recent) > intensity)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(0, 4), st.integers(1, 12))
def test_exits_found_late_count_at_their_own_time(times: list[int], intensity: int, period: int) -> None:
    window: tuple[int, ...] = ()
    for now in times:
        before = window
        window, exceeded = judge(window, now, intensity=intensity, period_us=period)
        known = sorted([*(at for at in before if at >= now - period), now])
        assert window == tuple(known)
        spans = (range(low, low + period + 1) for low in range(now - period, now + 1))
        assert exceeded is any(sum(at in span for at in known) > intensity for span in spans)


def test_ten_exits_spread_over_a_downtime_are_not_ten_exits_now() -> None:
    window: tuple[int, ...] = ()
    for minute in range(10):
        window, exceeded = judge(window, minute * 60 * S, intensity=1, period_us=5 * S)
        assert not exceeded
    assert len(window) == 1
