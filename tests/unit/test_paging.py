"""Page tokens continue the question they were given for, and no other."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kaged.domain.errors import Invalid
from kaged.domain.paging import MAX_CURSOR_BYTES, Argument, parse_page_size, read_page_token, write_page_token

METHOD = "ListEvents"
texts = st.text(max_size=8)
arguments = st.dictionaries(
    texts,
    texts | st.binary(max_size=8) | st.booleans() | st.integers() | st.none() | st.lists(texts, max_size=3),
    max_size=4,
)


@given(st.binary(max_size=MAX_CURSOR_BYTES), arguments)
def test_a_token_gives_back_its_cursor_for_the_same_arguments_in_any_order(
    cursor: bytes, args: dict[str, Argument]
) -> None:
    token = write_page_token(cursor, method=METHOD, arguments=args)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    again = dict(reversed(list(args.items())))
    assert read_page_token(token, method=METHOD, arguments=again) == cursor


def test_the_empty_token_is_the_first_page() -> None:
    assert read_page_token("", method=METHOD, arguments={}) is None


@given(arguments, arguments)
def test_a_token_is_refused_for_other_arguments(one: dict[str, Argument], other: dict[str, Argument]) -> None:
    assume(one != other)
    token = write_page_token(b"here", method=METHOD, arguments=one)
    with pytest.raises(Invalid, match="other arguments") as refused:
        read_page_token(token, method=METHOD, arguments=other)
    assert refused.value.violations[0][0] == "page_token"
    assert "start again" in refused.value.hint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "bc"}, {"ab": "c"}),
        ({"a": "b", "c": "d"}, {"a": "bcd"}),
        ({"a": ["b", "c"]}, {"a": ["bc"]}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "b"}, {"a": b"b"}),
        ({"a": "b"}, {"a": ["b"]}),
        ({"a": ""}, {"a": None}),
        ({"a": None}, {}),
    ],
)
def test_arguments_that_look_alike_are_told_apart(one: dict[str, Argument], other: dict[str, Argument]) -> None:
    token = write_page_token(b"", method=METHOD, arguments=one)
    with pytest.raises(Invalid):
        read_page_token(token, method=METHOD, arguments=other)


def test_a_token_of_another_method_is_refused() -> None:
    token = write_page_token(b"7", method="ListAgents", arguments={})
    with pytest.raises(Invalid, match="other arguments"):
        read_page_token(token, method=METHOD, arguments={})


@given(st.text(min_size=1, max_size=60) | st.text(alphabet="AQab-_=09 \n", min_size=1, max_size=60))
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="not a token that this method gave"):
        read_page_token(token, method=METHOD, arguments={})


@given(st.binary(max_size=40), st.data())
def test_a_token_with_one_changed_character_is_refused(cursor: bytes, data: st.DataObject) -> None:
    token = write_page_token(cursor, method=METHOD, arguments={"filter": "x"})
    at = data.draw(st.integers(0, len(token) - 1))
    with_other = data.draw(st.sampled_from("ABCz09-_=\n +/").filter(lambda c: c != token[at]))
    with pytest.raises(Invalid):
        read_page_token(token[:at] + with_other + token[at + 1 :], method=METHOD, arguments={"filter": "x"})


def test_a_huge_token_is_refused_without_being_decoded() -> None:
    with pytest.raises(Invalid):
        read_page_token("A" * 10_000_000, method=METHOD, arguments={})


def test_tokens_stay_valid_across_versions_of_kage() -> None:
    token = write_page_token(b"\x07", method=METHOD, arguments={"filter": "type = a", "descending": True})
    assert token == "AZAt0K26QzD2M0xlhAc"


@pytest.mark.parametrize(
    ("requested", "rows"), [(0, 50), (1, 1), (50, 50), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_a_page_size_is_coerced(requested: int, rows: int) -> None:
    assert parse_page_size(requested, default=50, maximum=1000) == rows


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(Invalid, match="page_size: -1 is negative"):
        parse_page_size(-1, default=50, maximum=1000)
