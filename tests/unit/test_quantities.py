"""Amounts and names as people write them: exact, or refused with the right form."""

import re
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
    assert q.parse_size_limit_bytes(text, path="x") is None


@given(st.integers(0, q.MAX_DURATION_US) | st.none())
@example(q.MAX_DURATION_US)
def test_a_formatted_duration_reads_back(duration_us: int | None) -> None:
    assert q.parse_duration_limit_us(q.format_duration(duration_us), path="x") == duration_us


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [(0, "0s"), (90 * M, "1h30m"), (250_000, "250ms"), (15 * 24 * H, "15d"), (S + 1, "1s1us"), (None, "infinity")],
)
def test_a_duration_is_shown_in_few_units(duration_us: int | None, text: str) -> None:
    assert q.format_duration(duration_us) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1e6", 1_000_000),
        ("1.5e3", 1500),
        ("64MiB", 64 * 2**20),
        ("64Mi", 64 * 2**20),
        ("64M", 64 * 2**20),  # a bare letter is 1024, as in systemd units
        ("64mib", 64 * 2**20),
        ("10GB", 10**10),
        ("10 kB", 10_000),
        ("1.5GiB", 3 * 2**29),
        ("1EiB", 2**60),
    ],
)
def test_a_size_is_read_to_the_byte(text: str, size_bytes: int) -> None:
    assert q.parse_size_bytes(text, path="x") == size_bytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write 64MiB"),
        ("-1", "write 64MiB"),
        ("64 parsecs", "no unit 'parsecs'"),
        ("0.1KiB", "not a whole number of bytes"),
        ("9EiB", "too large"),
        ("1e99", "too large"),
        ("infinity", "not a size"),
    ],
)
def test_a_wrong_size_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        q.parse_size_bytes(text, path="x")
    assert says in str(refused.value)


@given(st.integers(0, q.MAX_SIZE_BYTES) | st.none() | st.integers(0, 62).map(lambda n: 2**n))
@example(1000)
@example(1024)
@example(1024_000)
def test_a_formatted_size_reads_back(size_bytes: int | None) -> None:
    assert q.parse_size_limit_bytes(q.format_size(size_bytes), path="x") == size_bytes


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0B"), (1025, "1025B"), (2**26, "64MiB"), (10**10, "10GB"), (1000, "1kB")]
)
def test_a_size_is_shown_in_the_largest_exact_unit(size_bytes: int, text: str) -> None:
    assert q.format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "cpu_milli"), [("1.5", 1500), ("150%", 1500), ("1500m", 1500), ("0.5%", 5), ("2", 2000), ("0.001", 1)]
)
def test_cpu_is_read_in_thousandths_of_a_core(text: str, cpu_milli: int) -> None:
    assert q.parse_cpu_milli(text, path="x") == cpu_milli
    assert q.parse_cpu_milli(q.format_cpu(cpu_milli), path="x") == cpu_milli


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "0.0001", "0.01%", "1e9", "4097", "%", "m", "NaN"])
def test_a_wrong_amount_of_cpu_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not an amount of cpu"):
        q.parse_cpu_milli(text, path="x")


@pytest.mark.parametrize("value", ["TERM", "SIGTERM", "term", "15", 15])
def test_a_signal_is_read_by_name_and_number(value: str | int) -> None:
    assert q.parse_signal(value, path="x") == signal.SIGTERM
    assert q.format_signal(15) == "SIGTERM"


@pytest.mark.parametrize("value", ["", "0", 0, -1, "SIGSIGTERM", "SIG", "IGN", "SIG_DFL", "BLOCK", 9999, "²"])
def test_what_is_no_signal_is_refused(value: str | int) -> None:
    with pytest.raises(Invalid, match="write TERM, SIGTERM or 15"):
        q.parse_signal(value, path="x")


@pytest.mark.parametrize("text", ["a", "7", "my-agent", "a--b", "a" * 63])
def test_a_name_is_taken_as_it_is(text: str) -> None:
    assert q.parse_name(text, path="x") == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", ""),
        ("-", ""),
        ("My Agent!", "try 'my-agent'"),
        ("-a-", "try 'a'"),
        ("a_b", "try 'a-b'"),
        ("a\n", "try 'a'"),
        ("a" * 64, f"try {'a' * 63!r}"),
    ],
)
def test_a_wrong_name_is_refused_with_a_proposal_that_would_pass(text: str, hint: str) -> None:
    with pytest.raises(Invalid, match="is not a name") as refused:
        q.parse_name(text, path="x")
    assert refused.value.hint == hint


@given(st.text(max_size=300))
def test_every_proposed_name_is_a_name(text: str) -> None:
    try:
        q.parse_name(text, path="x")
    except Invalid as refused:
        for proposal in re.findall("'(.*)'", refused.hint):
            assert q.parse_name(proposal, path="x") == proposal


def test_labels_come_back_in_the_order_of_their_keys() -> None:
    labels = {"role": "tester", "example.com/team": "", "A_b.c-1": "any text: ü"}
    assert list(q.parse_labels(labels, path="x")) == sorted(labels)


def test_everything_wrong_with_labels_is_said_at_once() -> None:
    labels = {
        "": "a",
        "-x": "b",
        "A.com/x": "c",
        "a/b/c": "d",
        "ok": "e\n",
        "long": "f" * 257,
        "k" * 64: "g",
        "a/": "h",
    }
    with pytest.raises(Invalid) as refused:
        q.parse_labels(labels, path="agent.labels")
    assert len(refused.value.violations) == len(labels)
    assert {path for path, _ in refused.value.violations} == {"agent.labels"}


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(Invalid, match="65 labels, at most 64"):
        q.parse_labels({f"k{n}": "" for n in range(65)}, path="x")


@pytest.mark.parametrize(
    ("entry", "pair"),
    [
        ("A=b", ("A", "b")),
        ("A=", ("A", "")),
        ("A=b=c\n", ("A", "b=c\n")),
        ("npm_config_x.y-z=1", ("npm_config_x.y-z", "1")),
    ],
)
def test_an_environment_entry_is_split_at_its_first_equals_sign(entry: str, pair: tuple[str, str]) -> None:
    assert q.parse_env_entry(entry, path="x") == pair


@pytest.mark.parametrize(
    "entry",
    ["hunter2", "=hunter2", "A B=hunter2", "Ä=hunter2", "A=hunter2\0", "A=hunter2\ud800", "A=hunter2" + "x" * 131_064],
)
def test_a_wrong_environment_entry_is_refused_without_showing_its_value(entry: str) -> None:
    with pytest.raises(Invalid) as refused:
        q.parse_env_entry(entry, path="env[3]")
    assert refused.value.violations[0][0] == "env[3]"
    assert "hunter2" not in str(refused.value) + refused.value.hint
    assert refused.value.__cause__ is None


def test_the_largest_environment_entry_fits() -> None:
    assert q.parse_env_entry("A=" + "x" * 131_069, path="x")


@pytest.mark.parametrize(
    "parse", [q.parse_duration_us, q.parse_size_bytes, q.parse_cpu_milli, q.parse_signal, q.parse_name]
)
@given(text=st.text() | st.text(alphabet="0123456789.eE+kMGiBhms% ", max_size=70))
@example(text="1e99")
@example(text="\ud800")
def test_no_text_raises_anything_but_invalid(parse: Callable[..., object], text: str) -> None:
    with suppress(Invalid):
        parse(text, path="x")
