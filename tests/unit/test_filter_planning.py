"""What an index may take from a filter."""

import pytest

from kaged.domain.filter import AGENTS, EVENTS, Bounds, bounds, parse, required


def needs(text: str, field: str = "type", key: str | None = None) -> set[str] | None:
    found = required(parse(text, EVENTS), field, key)
    return None if found is None else {need.text + ("…" if need.prefix else "") for need in found}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("type = agent.spawned", {"agent.spawned"}),
        ("type = agent.* AND stream = agents/x", {"agent.…"}),
        ("type = agent.* AND type = agent.exited", {"agent.exited"}),
        ("type = agent.* AND type = *.exited", {"agent.…"}),
        ("type = agent.* AND type = run.*", set()),
        ("type = a AND type = b", set()),
        ("type = a OR type = b", {"a", "b"}),
        ("type = agent.* OR type = agent.exited", {"agent.…"}),
        ("type = a OR type = b type = b OR type = c", {"b"}),
        ("(type = a seq = 1) OR (type = b seq = 2)", {"a", "b"}),
        ("type = a OR seq = 1", None),
        ("type != a", None),
        ("NOT (type = a seq = 1)", None),
        ("type:agent", None),
        ("type = *.exited", None),
        ("type:*", None),
        ('type = ""', None),  # no index holds what is unset
        ('type = "" OR type = a', None),
        ("type > a", None),
        ("stream = agents/x", None),
        ("", None),
    ],
)
def test_the_texts_that_a_match_must_have(text: str, wanted: set[str] | None) -> None:
    assert needs(text) == wanted


def test_the_value_of_one_key_of_a_map_can_be_required() -> None:
    text = "tags.env = prod AND tags.team = a*"
    assert needs(text, "tags", "env") == {"prod"}
    assert needs(text, "tags", "team") == {"a…"}
    assert needs(text, "tags", "other") is None
    assert needs(text, "tags") is None


def test_an_enum_value_can_be_required() -> None:
    found = required(parse("state = RUNNING OR state = waiting", AGENTS), "state")
    assert found is not None
    assert {need.text for need in found} == {"running", "waiting"}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("seq = 5", 5, 5),
        ("seq > 5", 6, None),
        ("seq >= 5 AND seq < 9", 5, 8),
        ("seq > 5 AND seq > 7", 8, None),
        ("seq = 5 OR seq = 9", 5, 9),
        ("seq > 5 OR seq < 3", None, None),
        ("seq > 5 OR type = a", None, None),
        ("(seq > 5 AND seq < 3) OR seq = 9", 9, 9),
        ("NOT seq > 5", None, None),
        ("seq != 5", None, None),
        ("type = a", None, None),
    ],
)
def test_the_range_that_holds_every_match(text: str, low: int | None, high: int | None) -> None:
    assert bounds(parse(text, EVENTS), "seq") == Bounds(low=low, high=high)


def test_bounds_that_cross_say_that_nothing_matches() -> None:
    assert bounds(parse("seq > 5 AND seq < 3", EVENTS), "seq").empty
    assert bounds(parse("(seq > 5 AND seq < 3) OR (seq > 9 AND seq < 8)", EVENTS), "seq").empty


def test_a_time_is_bounded_in_microseconds() -> None:
    tree = parse("recorded >= 1970-01-01T00:00:01Z AND recorded < 2s", EVENTS, now_us=5_000_000)
    assert bounds(tree, "recorded") == Bounds(low=1_000_000, high=2_999_999)
