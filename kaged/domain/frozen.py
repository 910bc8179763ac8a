"""`@frozen`: a dataclass that is frozen, slotted and keyword-only, and that costs next to nothing until it is used.

    @frozen
    class Granted:
        by: str
        note: str = ""

Means the same as `@dataclass(frozen=True, slots=True, kw_only=True)`, to type checkers and at run time: `replace`,
`fields`, `match`, `copy`, `pickle` and inheritance from another frozen class work. The difference is when the work
is done. `dataclass` compiles six methods for each class at import, 0.3 to 0.5 ms; kaged has more than a hundred such
classes, and that was a third of its start (measured). Here `__init__` is compiled when the first instance is made,
the others when they are first needed, and making an instance is a little quicker too.

Not here: what `field` may say but `default` and `default_factory`; mutable classes; `super()` without arguments
inside a frozen class (the class is made twice, as `dataclass(slots=True)` does).
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from typing import Any, ClassVar, Final, TypeVar, cast, dataclass_transform, get_origin, overload

T = TypeVar("T")
_SHAPE: Final = "__frozen_shape__"  # class attribute: name -> (type, default, default factory), inherited ones first
_Shape = dict[str, tuple[Any, Any, Any]]  # types and defaults are whatever the class says


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = True) -> type[T] | Callable[[type[T]], type[T]]:
    """The class again, frozen and slotted. Raises ValueError for a default that could be changed in place.

    `@frozen(kw_only=False)`: made and matched by position, for small messages between parts of one module.
    """
    return _frozen(cls, kw_only) if cls is not None else lambda it: _frozen(it, kw_only)


def field_names(kind: type) -> tuple[str, ...]:
    """Names of a frozen class's fields, in order, the inherited ones first. Cheaper than `dataclasses.fields`."""
    return tuple(getattr(kind, _SHAPE))


def _frozen(cls: type[T], kw_only: bool) -> type[T]:
    shape: _Shape = {}
    for parent in reversed(cls.__mro__[1:]):
        shape.update(vars(parent).get(_SHAPE, {}))
    inherited = frozenset(shape)
    names = dict(vars(cls))
    for name, kind in cls.__annotations__.items():
        if ClassVar not in (kind, get_origin(kind)):
            shape[name] = (kind, *_defaults(name, names.pop(name, MISSING)))
    names.pop("__dict__", None)
    names.pop("__weakref__", None)
    names["__qualname__"] = cls.__qualname__
    names["__slots__"] = tuple(name for name in shape if name not in inherited)
    names["__match_args__"] = () if kw_only else tuple(shape)
    names[_SHAPE] = shape
    late = {name: _Late(name, make) for name, make in _MADE_LATE.items()}
    names = _SHARED | late | names  # a method that the class has itself stays
    again: Callable[..., type[T]] = type(cls)
    return again(cls.__name__, cls.__bases__, names)


def _defaults(name: str, given: Any) -> tuple[Any, Any]:
    if isinstance(given, Field):
        return given.default, given.default_factory
    if given is not MISSING and type(given).__hash__ is None:
        raise ValueError(f"the default of {name} could be changed in place: use field(default_factory=...)")
    return given, MISSING


# --- methods that all share ------------------------------------------------------------------------------------


def _refuse_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: object) -> list[Any]:
    return [getattr(self, name) for name in field_names(type(self))]


def _set_state(self: object, state: list[Any]) -> None:
    for name, value in zip(field_names(type(self)), state, strict=True):
        object.__setattr__(self, name, value)


def _show(self: object) -> str:
    kind = type(self)
    return f"{kind.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in field_names(kind))})"


# --- what is made when it is first asked for ---------------------------------------------------------------------


class _Late:
    """A class attribute that makes itself and takes its own place. Two threads at once make it twice: no harm."""

    __slots__ = ("_make", "_name", "_owner")

    def __init__(self, name: str, make: Callable[[type], Any]) -> None:
        self._name = name
        self._make = make
        self._owner: type | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner

    def __get__(self, instance: object, owner: type) -> Any:
        assert self._owner is not None
        made = self._make(self._owner)
        setattr(self._owner, self._name, made)
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


def _init_of(cls: type) -> Callable[..., None]:
    """One line for each field, by the slot's own setter: the class refuses the usual way."""
    shape: _Shape = getattr(cls, _SHAPE)
    scope: dict[str, Any] = {"absent": _ABSENT}
    parameters, lines = [], []
    for name, (_, default, factory) in shape.items():
        scope[f"set_{name}"] = getattr(cls, name).__set__
        value = name
        if factory is not MISSING:
            scope[f"make_{name}"] = factory
            parameters.append(f"{name}=absent")
            value = f"make_{name}() if {name} is absent else {name}"
        elif default is not MISSING:
            scope[f"default_{name}"] = default
            parameters.append(f"{name}=default_{name}")
        else:
            parameters.append(name)
        lines.append(f"set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    star = ["*"] if parameters and not getattr(cls, "__match_args__", ()) else []
    init = _compiled(cls, "__init__", ", ".join(["self", *star, *parameters]), lines, scope)
    init.__annotations__ = {name: kind for name, (kind, _, _) in shape.items()} | {"return": None}
    return init


def _eq_of(cls: type) -> Callable[..., bool]:
    lines = [
        f"if other.__class__ is self.__class__: return {_tuple_of(cls, 'self')} == {_tuple_of(cls, 'other')}",
        "return NotImplemented",
    ]
    return _compiled(cls, "__eq__", "self, other", lines, {})


def _hash_of(cls: type) -> Callable[..., int]:
    return _compiled(cls, "__hash__", "self", [f"return hash({_tuple_of(cls, 'self')})"], {})


def _tuple_of(cls: type, instance: str) -> str:
    return f"({''.join(f'{instance}.{name},' for name in field_names(cls))})"


def _compiled(cls: type, name: str, parameters: str, lines: list[str], scope: dict[str, Any]) -> Callable[..., Any]:
    body = "\n ".join(lines or ["pass"])
    exec(f"def {name}({parameters}):\n {body}", scope)  # noqa: S102  as dataclasses does: names of our own classes
    method: Callable[..., Any] = scope[name]
    method.__qualname__ = f"{cls.__qualname__}.{name}"
    method.__module__ = cls.__module__
    return method


def _fields_of(cls: type) -> dict[str, "Field[Any]"]:
    """What `dataclasses` wants to know, from a dataclass of the same fields that has no methods."""
    shape: _Shape = getattr(cls, _SHAPE)
    twin: dict[str, Any] = {"__doc__": "twin", "__annotations__": {name: kind for name, (kind, _, _) in shape.items()}}
    for name, (_, default, factory) in shape.items():
        if factory is not MISSING:
            twin[name] = field(default_factory=factory)
        elif default is not MISSING:
            twin[name] = default
    plain: Any = dataclass(init=False, repr=False, eq=False, kw_only=True)(type(cls.__name__, (), twin))
    return cast("dict[str, Field[Any]]", plain.__dataclass_fields__)


class _Absent:
    def __repr__(self) -> str:
        return "<factory>"


_ABSENT: Final = _Absent()


_SHARED: Final[dict[str, Callable[..., Any]]] = {
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _get_state,
    "__setstate__": _set_state,
    "__repr__": _show,
}
_MADE_LATE: Final[dict[str, Callable[[type], Any]]] = {
    "__init__": _init_of,
    "__eq__": _eq_of,
    "__hash__": _hash_of,
    "__dataclass_fields__": _fields_of,
}
