"""Expressions that are compiled when they are first used: the same ones, and none of them wrong."""

import importlib
import pkgutil
import re

import pytest

import kaged
from kaged.domain.late_pattern import late_pattern


def test_a_late_pattern_does_what_a_compiled_one_does() -> None:
    late, real = late_pattern(r"(a+)b|C", re.IGNORECASE), re.compile(r"(a+)b|C", re.IGNORECASE)
    for text in ("xaab", "AAb", "c", "", "nothing of it"):
        for name in ("match", "search", "fullmatch"):
            for _ in range(2):  # the first call compiles
                found, wanted = getattr(late, name)(text), getattr(real, name)(text)
                assert (found and (found.span(), found.groups())) == (wanted and (wanted.span(), wanted.groups()))
    assert late.sub("-", "aab c") == "- -"
    assert late.pattern == real.pattern
    with pytest.raises(AttributeError):
        _ = late.nothing_of_it  # type: ignore[attr-defined]


def test_every_late_pattern_of_kaged_is_a_valid_expression() -> None:
    kind, seen = type(late_pattern("")), 0
    for module in pkgutil.walk_packages(kaged.__path__, "kaged."):
        if module.name.endswith("__main__") or module.name.startswith("kaged.shim"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, kind):
                assert value.fullmatch is not None
                seen += 1
    assert seen > 10
