"""`@frozen` means what `@dataclass(frozen=True, slots=True, kw_only=True)` means: each case is built both ways."""

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.domain.frozen import field_names, frozen

Decorator = Callable[[type], Any]
slow: Decorator = dataclass(frozen=True, slots=True, kw_only=True)


def family(decorate: Decorator) -> tuple[Any, Any, Any]:
    """A parent, a child and a class without fields, decorated."""

    class Parent:
        kind: ClassVar[str] = "parent"
        name: str
        size: int = 3

    parent = decorate(Parent)

    class Child(parent):  # type: ignore[misc, valid-type]  # made here
        kind: ClassVar[str] = "child"
        size: int = 4
        labels: Mapping[str, str] = field(default_factory=dict)

        def longer(self) -> int:
            return int(self.size) + 1

    class Empty:
        pass

    return parent, decorate(Child), decorate(Empty)


PARENT, CHILD, EMPTY = family(frozen)
SLOW_PARENT, SLOW_CHILD, SLOW_EMPTY = family(slow)
BOTH = pytest.mark.parametrize("classes", [(PARENT, CHILD, EMPTY), (SLOW_PARENT, SLOW_CHILD, SLOW_EMPTY)])


@frozen
class Point:
    x: int
    y: int = 0


@frozen(kw_only=False)
class Pair:
    left: int
    right: str = ""


@BOTH
def test_defaults_factories_class_variables_and_inherited_fields_are_understood(classes: Any) -> None:
    parent, child, empty = classes
    made = child(name="a")
    assert (made.name, made.size, made.labels, made.kind, made.longer()) == ("a", 4, {}, "child", 5)
    assert child(name="a").labels is not made.labels
    assert (parent(name="a").size, parent.kind, repr(empty())) == (3, "parent", repr(empty()))
    assert isinstance(made, parent)
    assert [item.name for item in fields(child)] == ["name", "size", "labels"]
    assert is_dataclass(made)
    assert child.__match_args__ == ()


@BOTH
def test_values_are_compared_and_hashed_by_class_and_fields(classes: Any) -> None:
    parent, child, empty = classes
    assert parent(name="a") == parent(name="a", size=3) != parent(name="b")
    assert hash(parent(name="a")) == hash(parent(name="a"))
    assert parent(name="a") != child(name="a", size=3)
    assert parent(name="a").__eq__("a") is NotImplemented
    assert empty() == empty()
    assert len({parent(name="a"), parent(name="a"), parent(name="b")}) == 2


@BOTH
def test_nothing_can_be_changed_or_added(classes: Any) -> None:
    made = classes[1](name="a")
    with pytest.raises(FrozenInstanceError, match="name"):
        made.name = "b"
    with pytest.raises(FrozenInstanceError, match="name"):
        del made.name
    with pytest.raises((AttributeError, TypeError)):  # dataclass: TypeError, by an accident of slots
        made.other = 1
    assert not hasattr(made, "__dict__")


@BOTH
@pytest.mark.parametrize(
    ("arguments", "words"),
    [({}, "missing 1 required keyword-only argument: 'name'"), ({"name": "a", "nam": 1}, "'nam'")],
)
def test_a_wrong_call_is_refused_by_name(classes: Any, arguments: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words) as refused:
        classes[1](**arguments)
    assert "Child.__init__()" in str(refused.value)
    with pytest.raises(TypeError, match="positional"):
        classes[1]("a")


def test_signature_hints_and_text_are_those_of_a_dataclass() -> None:
    assert get_type_hints(CHILD.__init__) == get_type_hints(SLOW_CHILD.__init__)
    assert list(inspect.signature(CHILD).parameters) == list(inspect.signature(SLOW_CHILD).parameters)
    assert str(inspect.signature(PARENT)) == str(inspect.signature(SLOW_PARENT))
    assert repr(CHILD(name="a")) == repr(SLOW_CHILD(name="a"))


def test_replace_makes_a_changed_copy() -> None:
    assert replace(Point(x=1, y=2), y=3) == Point(x=1, y=3)
    with pytest.raises(TypeError):
        replace(Point(x=1), z=3)  # type: ignore[call-arg]


@given(st.builds(Point), st.sampled_from([copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]))
def test_copies_are_equal(point: Point, again: Callable[[Point], Point]) -> None:
    assert again(point) == point


def test_positional_classes_are_made_and_matched_by_position() -> None:
    match Pair(1, "b"):
        case Pair(left, right):
            assert (left, right) == (1, "b")


def test_a_default_that_could_be_changed_in_place_is_refused() -> None:
    shared: list[int] = []

    class Shared:
        items: list[int] = shared

    with pytest.raises(ValueError, match="items"):
        frozen(Shared)


def test_a_method_that_a_class_has_itself_stays() -> None:
    @frozen
    class Secret:
        word: str

        def __repr__(self) -> str:
            return "***"

    assert repr(Secret(word="x")) == "***"
    assert field_names(Secret) == ("word",)


def test_what_is_done_after_init_is_done() -> None:
    @frozen
    class Checked:
        size: int

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ValueError(self.size)

    with pytest.raises(ValueError, match="-1"):
        Checked(size=-1)
    assert Checked(size=1).size == 1
