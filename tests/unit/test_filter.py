"""What filters mean and what they refuse, as tables; test_filter_laws.py looks for the cases we forgot."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kaged.domain.errors import Invalid
from kaged.domain.filter import AGENTS, EVENTS, Field, Schema, Value, evaluate, fields_of, parse, schema
from kaged.domain.quantities import parse_duration_us

NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
MINUTE_US = parse_duration_us("1m", path="")
FLAGS = schema("flag", Field(name="done", kind="boolean"))

ROW: Mapping[str, Value] = {
    "seq": 7,
    "revision": 1,
    "recorded": NOW_US - 3 * MINUTE_US,
    "occurred": None,
    "stream": "agents/x",
    "type": "agent.exited",
    "agent": "x",
    "run": "",
    "actor": None,
    "tags": {"env": "prod", "example.com/team": "a b", "empty": ""},
}


def matches(text: str) -> bool:
    return evaluate(parse(text, EVENTS, now_us=NOW_US), ROW.__getitem__)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "seq = 7",
        "seq=+7",
        "seq:7",
        "seq != 8",
        "seq >= 7 seq <= 7",
        "seq > -1",
        'type = "agent.exited"',
        "type = 'agent.exited'",
        "type = agent.exited",
        "type = agent.*",
        'type = "*.exited"',
        "type = *ent.ex*",
        "type:exit",
        "type:agent.*",
        "type:*",
        "type = *",
        "NOT run:*",
        "run != *",
        'run = "" actor = ""',
        'actor = "" OR actor = b',
        "type > agent",
        "actor < a",
        "-actor:*",
        "tags:env",
        'tags:"example.com/team"',
        "tags.env = prod",
        "tags.env:prod",
        "tags.env = pr*",
        "tags.env:*",
        "tags:*",
        'tags.example.com/team = "a b"',
        'tags."example.com/team" = "a b"',
        'tags.empty = ""',
        "tags:empty",
        "tags.none != x",
        "NOT tags.none = x",
        "tags.env > pro",
        "recorded > 5m",
        "recorded > -5m",
        "recorded < now",
        'recorded < "1m30s"',
        "recorded < 2026-09-21T14:13:20Z",
        "recorded = 2026-09-21T16:10:20+02:00",
        "recorded >= '2026-09-21 14:10:20.000000Z'",
        "recorded:*",
        "-occurred:*",
        "NOT occurred > 5m",
        "NOT NOT seq = 7",
        "NOT(seq = 8)",
        "seq = 8 OR seq = 7 AND type = agent.*",  # (seq = 8 OR seq = 7) AND ...
        "type = agent.* AND seq = 8 OR seq = 7",  # ... AND (seq = 8 OR seq = 7)
        "(seq = 8 AND type = x) OR seq = 7",
        "type\t=\nagent.*\r\n",
    ],
)
def test_a_filter_matches_the_row(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "seq = 8",
        "seq < 7",
        "type = agent",
        "type = Agent.exited",
        "type = *.exite",
        'type = "agent.\\*"',
        "type:*ex",
        "actor = *e",
        "actor = N*",
        "actor:n",
        "run:*",
        "occurred:*",
        "occurred < now",
        "tags:none",
        "tags.none = ''",
        "tags.none < x",
        "tags.env:pro",  # on a map, `:` is equality: AIP-160
        "tags.empty = pro*",
        "recorded > 2m",
        "seq = 8 OR seq = 9 AND seq = 7",
        "seq = 7 seq = 8",
        "NOT seq = 7 OR seq = 9",
    ],
)
def test_a_filter_does_not_match_the_row(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("tpye = a", 1, "no field 'tpye'; did you mean 'type'?"),
        ("seq = 1 AND Type = a", 13, "did you mean 'type'?"),
        ("failed", 1, "'failed' is compared with nothing"),
        ('"failed"', 1, "is compared with nothing"),
        ("12", 1, "is compared with nothing"),
        ("agent failed", 7, "after 'agent', found 'failed'"),
        ("agent", 6, "after 'agent', found the end"),
        ("type = a and seq = 1", 10, "'and' is written in capitals: AND"),
        ("type = a AND", 13, "expected a field, found the end"),
        ("OR type = a", 1, "expected a field, found 'OR'"),
        ("type = OR", 8, "expected a value, found OR"),
        ("type =", 7, "expected a value, found the end"),
        ("type = = a", 8, "expected a value, found '='"),
        ("type == a", 6, "write ="),
        ("type =~ a", 6, "with a * at the start or end"),
        ("type = a && seq = 1", 10, "write AND"),
        ("type = a, seq = 1", 9, "write AND or OR"),
        ("!type = a", 1, "write NOT or !="),
        ("ünknown = 1", 1, "expected a field, found 'ü'"),
        ("(type = a", 1, "never closed"),
        ("type = a)", 9, "unexpected ')'"),
        ("()", 2, "expected a field, found ')'"),
        ('type = "a', 8, "this quote is never closed"),
        (r'type = "\x"', 9, "unknown escape"),
        (r'type = "\ud800"', 9, "unknown escape"),
        ("type = a*b", 8, "a * may stand at the start and at the end only"),
        ("type = a**", 8, "a * may stand at the start and at the end only"),
        ("type > a*", 8, "works with =, != and : only"),
        ('type:""', 6, 'did you mean = ""'),
        ("type.x = a", 6, "holds text, it has no keys"),
        ("seq = many", 7, "'seq' takes a whole number; found 'many'"),
        ("seq = 1.5", 7, "takes a whole number"),
        ("seq = 99999999999999999999", 7, "takes a whole number"),
        ("seq = 1*", 7, "takes no *"),
        ("recorded > yesterday", 12, "expected a time, found 'yesterday'"),
        ("recorded > 5", 12, "expected a time"),
        ("recorded > 2026-01-01T00:00:00", 12, "expected a time"),
        ("recorded > 2026-02-30T00:00:00Z", 12, "expected a time"),
        ("tags = prod", 6, "write tags.key = value or tags:key"),
        ("tags:e*", 6, "tags:* alone asks for any key"),
        ('tags."e*" = x', 6, "a key takes no *"),
        ("tags. = x", 6, "expected a key after the dot"),
        ("lower(type) = a", 1, "'lower' is compared with nothing"),
    ],
)
def test_a_wrong_filter_is_refused_at_its_column_with_what_to_write(text: str, column: int, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text, EVENTS, now_us=NOW_US)
    ((path, what),) = refused.value.violations
    assert path == "filter"
    assert what.startswith(f"column {column}: ")
    assert says in what
    assert refused.value.facts["column"] == str(column)


def test_an_unknown_field_hints_at_all_the_known_ones() -> None:
    with pytest.raises(Invalid) as refused:
        parse("colour = red", AGENTS)
    assert refused.value.hint.startswith("fields: id, name, state, ")
    assert refused.value.facts["token"] == "colour"


@pytest.mark.parametrize("text", ["running", "RUNNING", "AGENT_STATE_RUNNING", '"running"'])
def test_an_enum_value_may_be_written_as_users_and_as_the_wire_write_it(text: str) -> None:
    assert str(parse(f"state = {text}", AGENTS)) == 'state = "running"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("state = runing", "did you mean 'running'?"),
        ("state = 3", "takes one of pending, starting,"),
        ("state > running", "has no order"),
        ("state = r*", "takes no *"),
    ],
)
def test_an_enum_refuses_other_values_and_order(text: str, says: str) -> None:
    with pytest.raises(Invalid, match="column") as refused:
        parse(text, AGENTS)
    assert says in str(refused.value)


def test_a_relative_time_is_refused_where_the_caller_gives_no_now() -> None:
    with pytest.raises(Invalid, match="relative to now"):
        parse("recorded > 5m", EVENTS)


def test_a_relative_time_older_than_the_calendar_means_since_ever() -> None:
    assert str(parse("recorded > 200000w", EVENTS, now_us=0)) == 'recorded > "0001-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type = " + "a" * 8192, "8199 bytes long, at most 8192"),
        ("type = " + "ü" * 4096, "8199 bytes long, at most 8192"),
        ("(" * 33 + "seq = 1" + ")" * 33, "nested deeper than 32 levels"),
        ("(" * 8000, "nested deeper than 32 levels"),
        (" ".join(f"seq={n}" for n in range(201)), "more than 200 comparisons"),
    ],
)
def test_a_filter_over_a_bound_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse(text, EVENTS)


def test_a_filter_at_its_bounds_is_accepted() -> None:
    parse("(" * 32 + "seq = 1" + ")" * 32, EVENTS)
    parse(" OR ".join(["(seq = 1)"] * 100), EVENTS)  # depth counts what is open, not what was
    parse("-" * 8000 + "seq = 1", EVENTS)
    parse(" ".join(f"seq={n}" for n in range(200)), EVENTS)


def test_nesting_without_parentheses_counts_too() -> None:
    # Written with one parenthesis, AND of OR of ... is two levels: the canonical text needs both.
    nested = "seq = 0"
    for n in range(1, 18):
        nested = f"(seq = {n} AND type = a OR {nested})"
    with pytest.raises(Invalid, match="nested deeper"):
        parse(nested, EVENTS)


@pytest.mark.parametrize(
    ("text", "held", "expected"),
    [
        ("done = true", True, True),
        ("done = TRUE", True, True),
        ("done != true", True, False),
        ("done:false", False, True),
        ("done = false", None, True),  # unset is false
        ("done:*", False, True),
        ("done:*", None, False),
    ],
)
def test_a_boolean_is_true_or_false_and_unset_is_false(text: str, held: bool | None, expected: bool) -> None:
    tree = parse(text, FLAGS)
    assert evaluate(tree, {"done": held}.__getitem__) is expected
    assert parse(str(tree), FLAGS) == tree


@pytest.mark.parametrize(
    ("text", "says"),
    [("done", "write done = true"), ("done = 1", "takes true or false"), ("done > true", "has no order")],
)
def test_a_boolean_is_refused_with_the_right_form(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse(text, FLAGS)


def test_a_refusal_never_repeats_more_than_a_little_of_the_filter() -> None:
    for text in ("x" * 8000, "seq = " + "x" * 8000, '"' + "x" * 8000 + '"', "tags." + "x" * 8000 + " = a*b"):
        with pytest.raises(Invalid) as refused:
            parse(text, EVENTS)
        assert len(str(refused.value)) < 300
        assert len(refused.value.facts["token"]) <= 64


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("seq=1 type=a", 'type = "a"   AND seq = 1'),
        ("NOT type = a", "type != a"),
        ("-(-type = a)", "type=a"),
        ("type = a OR type = a", "type = a"),
        ("(type = a AND (seq = 1 AND seq = 2))", "seq = 2 seq = 1 type = a"),
        ("type:exit", "type = *exit*"),
        ("tags:env", "tags.env:*"),
        ("recorded > 1m", "recorded > 60s"),
    ],
)
def test_filters_that_say_the_same_have_one_canonical_text(one: str, other: str) -> None:
    assert str(parse(one, EVENTS, now_us=NOW_US)) == str(parse(other, EVENTS, now_us=NOW_US))


def test_a_filter_tells_which_fields_it_reads() -> None:
    assert fields_of(parse("NOT (seq = 1 OR tags:a) AND type:x", EVENTS)) == {"seq", "tags", "type"}
    assert fields_of(parse("", EVENTS)) == set()


def test_another_request_field_can_carry_the_filter() -> None:
    with pytest.raises(Invalid) as refused:
        parse("x", EVENTS, path="checks[1].filter")
    assert refused.value.violations[0][0] == "checks[1].filter"


def test_every_example_of_the_manual_is_a_filter() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
    schemas = {"events": EVENTS, "agents": AGENTS}
    examples = [
        (noun, line)
        for noun, block in re.findall(r"```filter (\w+)\n(.*?)```", manual, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(examples) > 10
    for noun, line in examples:
        parse(line, schemas[noun], now_us=NOW_US)


@pytest.mark.parametrize("known", [EVENTS, AGENTS], ids=["events", "agents"])
def test_the_manual_names_every_field(known: Schema) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")
    table = manual.split(f"| Of an {known.noun} |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(known.fields)
