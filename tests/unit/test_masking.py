"""Secrets are overwritten in place, wherever the output was cut, and nothing else is touched."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.domain.events.output import Mask
from kaged.domain.masking import PATTERNS, Masker
from tests.search import examples

letters = st.text(alphabet="ab", min_size=4, max_size=9)
secret_maps = st.dictionaries(st.sampled_from(["A", "B", "C"]), letters, max_size=3)
outputs = st.lists(st.sampled_from([b"a", b"b", b"ab", b"x"]), max_size=60).map(b"".join)
TOKENS = [b"AKIA" + b"Q7" * 8, b"ghp_" + b"x9" * 18, b"sk-ant-" + b"k" * 30, b"-----BEGIN RSA PRIVATE KEY-----\nMIIEow"]
token_outputs = st.lists(
    st.sampled_from([*TOKENS, b"AKIA", b"ghp_", b"sk-a", b"\n-----END RSA PRIVATE KEY-----", b"k", b" ", b".", b"Q7"]),
    max_size=12,
).map(b"".join)


def feed(masker, pieces):
    """As runtime does it: the held bytes come again with what follows."""
    out, masks, rest = b"", [], b""
    for number, piece in enumerate(pieces, 1):
        data = rest + piece
        masked = masker.mask(data, final=number == len(pieces))
        assert len(masked.data) + masked.held == len(data)
        assert masked.held <= masker.max_held
        masks += [Mask(offset=len(out) + m.offset, length=m.length, rule=m.rule) for m in masked.masks]
        out += masked.data
        rest = data[len(masked.data) :]
    assert not rest
    return out, masks


def cut(data, places):
    edges = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


@settings(max_examples=examples(250))
@given(secrets=secret_maps, data=outputs, places=st.lists(st.integers(min_value=0), max_size=10))
def test_any_chunking_gives_the_same_bytes_and_the_same_masks(secrets, data, places):
    masker = Masker(secrets)
    assert feed(masker, cut(data, places)) == feed(masker, [data])


@settings(max_examples=examples(120))
@given(data=token_outputs, places=st.lists(st.integers(min_value=0), max_size=10))
def test_patterns_too_are_found_wherever_the_output_was_cut(data, places):
    masker = Masker({"A": "Q7Q7 sk-"}, patterns=PATTERNS)
    assert feed(masker, cut(data, places)) == feed(masker, [data])


@settings(max_examples=examples(120))
@given(secrets=secret_maps, data=outputs)
def test_exactly_the_bytes_of_all_occurrences_are_overwritten(secrets, data):
    expected = bytearray(data)
    for value in (value.encode() for value in secrets.values()):
        for at in range(len(data)):
            if data.startswith(value, at):
                expected[at : at + len(value)] = b"*" * len(value)
    out, masks = feed(Masker(secrets), [data])
    assert out == expected
    assert sum(mask.length for mask in masks) == out.count(b"*")
    assert all(value.encode() not in out for value in secrets.values())


@settings(max_examples=examples(30), deadline=None)
@given(
    size=st.integers(8_000, 30_000), places=st.lists(st.integers(min_value=0), max_size=6), odd=st.integers(0, 30_000)
)
def test_a_secret_that_repeats_itself_without_end_is_released_in_bounded_pieces(size, places, odd):
    data = bytearray(b"a" * size)
    data[odd % size] = ord("b")
    masker = Masker({"A": "aaaaa", "B": "aaaba"})
    out, masks = feed(masker, cut(bytes(data), places))
    assert (out, masks) == feed(masker, [bytes(data)])
    assert out == b"*" * size or odd % size < 5 or odd % size > size - 5


def test_the_rule_names_the_secret_and_the_first_of_overlapping_ones_gives_its_name():
    masked = Masker({"TOKEN": "hunter22", "OTHER": "22xyz"}).mask(b"is hunter22xyz, hunter22!", final=True)
    assert masked.data == b"is ***********, ********!"
    assert masked.masks == (
        Mask(offset=3, length=11, rule="secret:TOKEN"),
        Mask(offset=16, length=8, rule="secret:TOKEN"),
    )


def test_what_may_be_the_beginning_of_a_secret_is_held_back_until_more_comes():
    masker = Masker({"TOKEN": "hunter22"})
    assert (masker.mask(b"is hunt", final=False).data, masker.mask(b"is hunt", final=False).held) == (b"is ", 4)
    assert masker.mask(b"is hunt", final=True).data == b"is hunt"
    assert masker.mask(b"hunting", final=False).held == 0


def test_without_secrets_the_very_same_bytes_come_back():
    data = b"x" * 100
    assert Masker({}).mask(data, final=False).data is data
    assert Masker({"A": "secret"}).mask(data, final=False).data is data


def test_a_value_too_short_to_be_searched_is_named():
    masker = Masker({"PIN": "123", "EMPTY": "", "OK": "1234"})
    assert masker.too_short == ("EMPTY", "PIN")
    assert masker.mask(b"123 1234", final=True).data == b"123 ****"


def test_a_value_of_several_lines_is_found_whole_by_its_lines_and_in_json():
    secret = '{\n  "key": "s3cr3t-\u00e9"\n}'
    masker = Masker({"FILE": secret})
    assert masker.mask(secret.encode(), final=True).data == b"*" * len(secret.encode())
    assert b"s3cr3t" not in masker.mask('| "key": "s3cr3t-\u00e9" |'.encode(), final=True).data
    for ascii_only in (True, False):
        printed = json.dumps({"text": secret}, ensure_ascii=ascii_only).encode()
        masked = masker.mask(printed, final=True).data
        assert b"s3cr3t" not in masked
        assert json.loads(masked)["text"].strip("*") == ""


def test_a_very_long_value_is_found_and_little_is_held_back():
    secret = "".join(chr(33 + (n * n * 7 + n // 90) % 90) for n in range(50_000))
    masker = Masker({"BIG": secret})
    assert masker.max_held < 32 << 10
    raw = b"<" + secret.encode() + b">"
    out, _ = feed(masker, [raw[at : at + 30_000] for at in range(0, len(raw), 30_000)])
    assert out == b"<" + b"*" * 50_000 + b">"


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (b"key AKIAQ7Q7Q7Q7Q7Q7Q7Q7!", b"key ********************!"),
        (b"AKIA is a prefix", b"AKIA is a prefix"),
        (b"ghp_short", b"ghp_short"),
        (b"ghp_" + b"a1" * 18 + b" ", b"*" * 40 + b" "),
        (b"sk-ant-api03-" + b"x" * 40 + b"\n", b"*" * 53 + b"\n"),
        (
            b"<-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\nplain words\n",
            b"<" + b"*" * 62 + b"\nplain words\n",
        ),
        (b'"-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkq\\n', b'"' + b"*" * 47),
    ],
)
def test_a_well_known_token_is_overwritten_when_patterns_are_on_and_only_then(printed, kept):
    assert Masker({}, patterns=PATTERNS).mask(printed, final=True).data == kept
    assert Masker({}).mask(printed, final=True).data == printed
