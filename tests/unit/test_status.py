"""Errors as gRPC statuses: one code for each kind, the reason always, never more than headers can carry."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

import kaged
from kaged.domain import errors
from kaged.domain.errors import KageError
from kaged.rpc.status import code_of, to_failure, to_status

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
_CODES = {
    3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 11: "OUT_OF_RANGE", 12: "UNIMPLEMENTED", 13: "INTERNAL",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}  # fmt: skip


def _info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def _classes() -> list[type[KageError]]:
    """Every error class of the daemon that can reach a caller."""
    for module in pkgutil.walk_packages(kaged.__path__, "kaged."):
        if not module.name.startswith(("kaged.api", "kaged.shim", "kaged.__main__")):
            import_module(module.name)
    found: list[type[KageError]] = []
    todo: list[type[KageError]] = [KageError]
    while todo:
        kinds = todo.pop().__subclasses__()
        found += kinds
        todo += kinds
    return [kind for kind in found if kind.__module__.startswith("kaged.")]


def test_every_error_class_has_a_code_and_a_reason_in_capitals():
    for kind in _classes():
        bare = kind.__new__(kind)
        assert code_of(bare) in _CODES
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", kind.reason), kind


def test_one_reason_means_one_code():
    codes: dict[str, set[int]] = {}
    for kind in _classes():
        codes.setdefault(kind.reason, set()).add(code_of(kind.__new__(kind)))
    assert {reason for reason, found in codes.items() if len(found) > 1} <= {"UNKNOWN"}


def test_the_manual_lists_every_reason_with_its_code():
    table = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([A-Z_, ]+) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    wanted: dict[str, set[str]] = {}
    for kind in _classes():
        if kind.reason != "UNKNOWN":
            wanted.setdefault(kind.reason, set()).add(_CODES[code_of(kind.__new__(kind))])
    told = {reason: set(codes.split(", ")) for reason, codes in table.items()}
    assert told == wanted, f"docs/api.md differs in {sorted(set(told) ^ set(wanted))}"


def test_every_error_class_says_what_a_user_learns_from_it():
    for kind in _classes():
        assert inspect.getdoc(kind), kind


def test_an_error_carries_reason_domain_facts_and_hint():
    info = _info(to_status(errors.NotFound("no such thing", hint="look elsewhere", thing=7)))
    assert (info.reason, info.domain) == ("NOT_FOUND", "kage.dev")
    assert dict(info.metadata) == {"thing": "7", "hint": "look elsewhere"}


def test_an_invalid_request_names_every_field():
    status = to_status(errors.Invalid(("a.b", "is empty"), ("c", "is full")))
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert [(item.field, item.description) for item in bad.field_violations] == [("a.b", "is empty"), ("c", "is full")]


def test_what_may_be_tried_again_says_when():
    for error in (errors.Unavailable("busy", retry_after_s=0.25), errors.Broken("broken")):
        retry = error_details_pb2.RetryInfo()
        assert to_status(error).details[-1].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() in (250, 1000)


@given(st.text(max_size=30_000), st.text(max_size=30_000), st.integers(1, 500))
def test_no_refusal_is_larger_than_headers_may_be(text, hint, count):
    for error in (
        errors.NotFound(text, hint=hint, thing=text),
        errors.Invalid(*[(text[:300], hint[:300])] * count, hint=hint),
        errors.Unavailable(text, hint=hint, other=hint),
    ):
        status = to_status(error)
        assert status.ByteSize() * 4 / 3 + len(status.message.encode()) * 3 < 8000
        assert _info(status).reason == error.reason


def test_more_violations_than_are_told_are_counted():
    bad = error_details_pb2.BadRequest()
    assert to_status(errors.Invalid(*[("a", "wrong")] * 20)).details[1].Unpack(bad)
    assert len(bad.field_violations) == 8
    assert bad.field_violations[-1].description.endswith("(and 12 more)")


def test_a_failure_inside_an_answer_says_the_same():
    failure = to_failure(errors.Denied("not yours", hint="ask the owner"))
    assert (failure.code, failure.reason, failure.metadata["hint"]) == (7, "PERMISSION_DENIED", "ask the owner")


@pytest.mark.parametrize("kind", [errors.Bug, KageError])
def test_what_is_none_of_the_kinds_is_internal(kind):
    assert code_of(kind("oops")) == 13
