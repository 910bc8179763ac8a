"""Amounts as people write them on kagectl's command line."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.errors import Complaint
from kagectl.quantities import duration_s, instant_us, pair, size_bytes, span_s

NOW_US = 1_790_000_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1d12h", 129_600),
        ("1w", 604_800),
        ("250us", 0.00025),
        (" 5M ", 300),
    ],
)
def test_a_duration_is_read_as_people_write_it(text, seconds):
    assert math.isclose(duration_s(text), seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "5 m 3", "-1", "nan", "inf", "1m-3s", "m5"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(Complaint, match=r"30s|cannot be"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4096", 4096),
        ("64KiB", 65_536),
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 3 << 29),
        ("10b", 10),
        ("1T", 1 << 40),
    ],
)
def test_a_size_is_read_as_people_write_it(text, count):
    assert size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "big", "-5M", "5 parsecs", "1e3"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(Complaint, match="64MiB"):
        size_bytes(text)


def test_a_pair_keeps_every_equals_sign_of_its_value():
    assert pair("URL=a=b", what="--env") == ("URL", "a=b")
    with pytest.raises(Complaint, match="NAME=value"):
        pair("URL", what="--env")


def test_a_span_of_backoff_has_two_ends():
    assert span_s("500ms..60s", what="--backoff") == (0.5, 60)
    with pytest.raises(Complaint, match=r"500ms\.\.60s"):
        span_s("60s", what="--backoff")


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("10m", NOW_US - 600_000_000),
        ("0s", NOW_US),
        ("2026-01-31T10:00:00Z", 1_769_853_600_000_000),
        ("2026-01-31T10:00:00+02:00", 1_769_846_400_000_000),
    ],
)
def test_an_instant_is_a_time_or_how_long_ago(text, expected_us):
    assert instant_us(text, now_us=NOW_US) == expected_us


@given(st.text(max_size=20))
def test_no_text_makes_a_parser_fail_in_another_way(text):
    for parse in (duration_s, size_bytes, lambda value: instant_us(value, now_us=NOW_US)):
        with suppress(Complaint):
            parse(text)
