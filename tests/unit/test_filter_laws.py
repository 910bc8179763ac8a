"""Laws of filters: canonical text reads back, meaning survives, indexes lose nothing, no text surprises."""

import operator
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaged.domain.errors import Invalid
from kaged.domain.filter import AGENTS, EVENTS, bounds, compile_filter, evaluate, parse, required
from kaged.domain.filter.times import EARLIEST_US, LATEST_US, format_time, parse_time_us
from kaged.domain.filter.tree import quoted
from tests.search import examples

NOW_US = 1_790_000_000_000_000
NO_BOUND = 10_000_000

# Few letters and few numbers, so that rows and filters meet; then everything, so that quoting is tried.
words = st.text(alphabet="ab.", max_size=4) | st.text(max_size=6)
keys = st.sampled_from(["env", "a.b/c", "x y", "", 'q"\\*'])
numbers = st.integers(-2, 6)
times = st.sampled_from([NOW_US, NOW_US - 1, NOW_US + 1, EARLIEST_US, LATEST_US])
ORDER = cast(
    "dict[str, Callable[[object, object], bool]]",
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
)


@dataclass
class Said:
    """A filter as someone writes it, and what it means, decided apart from the code under test."""

    text: str
    means: Callable[[SimpleNamespace], bool]
    loose: bool = field(default=False)  # needs parentheses inside of something else


def said_text(name: str, value: str, op: str, read: Callable[[SimpleNamespace], str | None], is_map: bool) -> Said:
    def means(row: SimpleNamespace) -> bool:
        held = read(row)
        if held is None:
            return op.startswith("!=")
        match op:
            case "=":
                return held == value
            case "!=":
                return held != value
            case ":":
                return held == value if is_map else value in held
            case "=prefix":
                return held.startswith(value)
            case "!=suffix":
                return not held.endswith(value)
            case ":contains":
                return value in held
            case _:
                return ORDER[op](held, value)

    inner = quoted(value)[1:-1]
    written = {"=prefix": f'="{inner}*"', "!=suffix": f'!= "*{inner}"', ":contains": f':"*{inner}*"'}
    text = name + written.get(op, f'{op} "{inner}"')
    return Said(text, means)


@st.composite
def leaves(draw: st.DrawFn) -> Said:
    kind = draw(st.sampled_from(["text", "map", "key", "integer", "time", "present"]))
    text_ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", ":", "=prefix", "!=suffix", ":contains"])
    number_ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    if kind in ("text", "map"):
        op, value = draw(text_ops), draw(words)
        if not value and op not in ("=", "!=", "<", "<=", ">", ">="):
            value = "a"
        if kind == "text":
            name = draw(st.sampled_from(["type", "run"]))
            return said_text(name, value, op, lambda row: getattr(row, name) or "", False)
        key = draw(keys)
        return said_text(f"tags.{quoted(key)}", value, op, lambda row: row.tags.get(key), True)
    if kind == "key":
        key = draw(keys)
        return Said(f"tags:{quoted(key)}", lambda row: key in row.tags)
    if kind == "present":
        name = draw(st.sampled_from(["type", "run", "seq", "occurred", "tags"]))
        return Said(f"{name}:*", lambda row: getattr(row, name) not in (None, "", {}))
    name, number, written = draw(
        st.tuples(st.just("seq"), numbers).map(lambda nv: (*nv, str(nv[1])))
        | st.tuples(st.just("occurred"), times).map(lambda nv: (*nv, format_time(nv[1])))
    )
    op = draw(number_ops)

    def means(row: SimpleNamespace) -> bool:
        held = getattr(row, name)
        if op in ("=", "!="):
            return bool(held == number) == (op == "=")
        return held is not None and ORDER[op](held, number)

    return Said(f"{name} {op} {written}", means)


def inside(said: Said) -> str:
    return f"({said.text})" if said.loose else said.text


def joined(word: str, every: bool) -> Callable[[list[Said]], Said]:
    def join(parts: list[Said]) -> Said:
        def means(row: SimpleNamespace) -> bool:
            answers = [part.means(row) for part in parts]
            return all(answers) if every else any(answers)

        return Said(word.join(inside(part) for part in parts), means, True)

    return join


def negated(sign: str) -> Callable[[Said], Said]:
    def negate(said: Said) -> Said:
        return Said(f"{sign}{inside(said)}", lambda row: not said.means(row))

    return negate


def composed(inner: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    return (
        st.lists(inner, min_size=2, max_size=4).map(joined(" AND ", True))
        | st.lists(inner, min_size=2, max_size=3).map(joined(" ", True))
        | st.lists(inner, min_size=2, max_size=4).map(joined(" OR ", False))
        | inner.map(negated("NOT "))
        | inner.map(negated("-"))
    )


filters = st.recursive(leaves(), composed, max_leaves=12)
rows = st.builds(
    SimpleNamespace,
    type=words,
    run=st.none() | words,
    seq=numbers,
    occurred=st.none() | times,
    tags=st.dictionaries(keys, words, max_size=3),
)


@given(filters, st.lists(rows, min_size=1, max_size=5))
def test_a_compiled_filter_means_what_was_written(said: Said, some: list[SimpleNamespace]) -> None:
    tree = parse(said.text, EVENTS, max_bytes=NO_BOUND)
    compiled = compile_filter(tree, EVENTS.attributes())
    for row in some:
        assert compiled(row) == said.means(row)
        assert evaluate(tree, vars(row).__getitem__) == said.means(row)


@given(filters)
def test_canonical_text_reads_back_to_the_same_tree(said: Said) -> None:
    tree = parse(said.text, EVENTS, max_bytes=NO_BOUND)
    assert parse(str(tree), EVENTS, max_bytes=NO_BOUND) == tree
    assert str(parse(str(tree), EVENTS, max_bytes=NO_BOUND)) == str(tree)


@given(filters, st.lists(rows, min_size=1, max_size=5))
def test_what_a_filter_requires_holds_for_every_match(said: Said, some: list[SimpleNamespace]) -> None:
    tree = parse(said.text, EVENTS, max_bytes=NO_BOUND)
    by_type, by_env = required(tree, "type"), required(tree, "tags", "env")
    seqs, occurred = bounds(tree, "seq"), bounds(tree, "occurred")
    for row in filter(said.means, some):
        if by_type is not None:
            assert any(row.type.startswith(n.text) if n.prefix else row.type == n.text for n in by_type)
        if by_env is not None:
            held = row.tags["env"]
            assert any(held.startswith(n.text) if n.prefix else held == n.text for n in by_env)
        assert seqs.low is None or seqs.low <= row.seq
        assert seqs.high is None or row.seq <= seqs.high
        if row.occurred is not None:
            assert occurred.low is None or occurred.low <= row.occurred
            assert occurred.high is None or row.occurred <= occurred.high
        elif occurred.low is not None or occurred.high is not None:
            raise AssertionError("a row without the field matched a filter that bounds it")


tokens = st.sampled_from(
    [
        *"=:<.-()\"'\\*a7 \n,é",
        "type",
        "seq",
        "recorded",
        "tags",
        "state",
        "env",
        "!=",
        ">=",
        "AND",
        "OR",
        "NOT",
        "5m",
        "2026-01-01T00:00:00Z",
        "\\u0041",
    ]
)


@settings(max_examples=examples(300))
@given(st.lists(tokens, max_size=25).map("".join) | st.lists(tokens, max_size=25).map(" ".join) | st.text())
@example("\ud800 = \udfff")
@example("seq = ²")
@example("recorded > ٣m")
@example("type = \0")
def test_no_text_raises_anything_but_invalid_and_what_parses_reads_back(text: str) -> None:
    for schema in (EVENTS, AGENTS):
        with suppress(Invalid):
            tree = parse(text, schema, now_us=NOW_US)
            assert parse(str(tree), schema, max_bytes=NO_BOUND) == tree


@given(st.integers(EARLIEST_US, LATEST_US))
@example(EARLIEST_US)
@example(LATEST_US)
@example(-1)
def test_a_time_reads_back_to_the_same_microsecond(time_us: int) -> None:
    assert parse_time_us(format_time(time_us)) == time_us


@given(st.text(alphabet="0123456789-:T.Z+ ", max_size=40))
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("2026-01-01T24:00:00Z")
@example("2026-01-01T00:00:00+99:00")
def test_no_text_makes_reading_a_time_fail(text: str) -> None:
    time_us = parse_time_us(text)
    assert time_us is None or EARLIEST_US <= time_us <= LATEST_US
