"""A policy file's text to checked entries, each with its line. Pure; the text comes from whoever has the disk.

Wrong is: a key that nobody knows (the nearest known one is named), a value of another kind, a pattern that cannot fit.
`tomllib` gives no lines, so the line of a key is found by a scan of its own; an error without one says line 1.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from kaged.domain.errors import Invalid
from kaged.domain.frozen import frozen
from kaged.domain.quantities import parse_duration_limit_us
from kaged.guardrails.context import AFTER_THE_ACT, LEVELS, PeopleRule
from kaged.guardrails.keys import KEYS, RULE_FIELDS, Key, nearest
from kaged.guardrails.paths import pattern_problem
from kaged.guardrails.verdict import RANK

Value: TypeAlias = str | bool | int | float | tuple[str, ...] | tuple[PeopleRule, ...]

_NAMESPACE: Final = "namespace"
_HOST: Final = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9a-fA-F:]+")
_SIZE: Final = re.compile(r"(\d+)\s*([KMG]i?B?|B)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
MAX_RULES: Final = 1000


class PolicyWrong(Invalid):
    """A policy file cannot be used: it says which, where, and what is wrong."""

    reason = "POLICY_WRONG"

    def __init__(self, place: str, line: int, key: str, what: str, *, hint: str = "") -> None:
        where = f"{place}:{line}" if line else place
        super().__init__((f"{where}: {key}" if key else where, what), hint=hint or "docs/guardrails.md lists the keys")
        self.place = place
        self.line = line
        self.key = key


@frozen
class Entry:
    """One key that a layer sets. `line` 0: it has none. `namespace`: for that one only; empty: for all."""

    key: str
    value: Value
    line: int = 0
    namespace: str = ""


@frozen
class Layer:
    """One place that policies come from. `tightens`: it may make things stricter, and nothing else."""

    place: str
    entries: tuple[Entry, ...] = ()
    tightens: bool = False


def read(text: str, place: str, *, namespaces: bool, tightens: bool = False) -> Layer:
    """All entries of a file. `namespaces`: it may speak of single ones. Raises PolicyWrong for the first fault."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found.group(1)) if found else len(text.splitlines()) or 1
        raise PolicyWrong(place, line, "", f"is no TOML: {error}") from None
    lines = _Lines(text)
    entries: list[Entry] = []
    for name, value in given.items():
        if name == "guard" and isinstance(value, dict):
            entries += _table(value, ("guard",), place, lines, "", ("guard",))
        elif name == _NAMESPACE and isinstance(value, dict):
            if not namespaces:
                raise PolicyWrong(place, lines.of((name,)), name, "can only be said in the user's own file")
            for namespace, inner in value.items():
                at = (name, namespace)
                if not isinstance(inner, dict) or set(inner) - {"guard"} or not isinstance(inner.get("guard"), dict):
                    wrong = next(iter(set(inner) - {"guard"}), "") if isinstance(inner, dict) else ""
                    path = (*at, wrong) if wrong else at
                    raise PolicyWrong(place, lines.of(path), ".".join(path), "is not a key; a namespace has `guard`")
                entries += _table(inner["guard"], ("guard",), place, lines, namespace, (*at, "guard"))
        elif name == "guard":
            raise PolicyWrong(place, lines.of((name,)), name, "must be a table: [guard]")
        else:
            _unknown(place, lines.of((name,)), name)
    return Layer(place=place, entries=tuple(entries), tightens=tightens)


def _table(
    table: Mapping[str, object],
    path: tuple[str, ...],
    place: str,
    lines: "_Lines",
    namespace: str,
    written: tuple[str, ...],
) -> Iterator[Entry]:
    for name, value in table.items():
        at, here = (*path, name), (*written, name)
        full = ".".join(at)
        key = KEYS.get(full)
        if key is not None:
            line = lines.of(here)
            yield Entry(key=full, value=checked(key, value, place, line, lines, here), line=line, namespace=namespace)
        elif isinstance(value, dict) and any(known.startswith(full + ".") for known in KEYS):
            yield from _table(value, at, place, lines, namespace, here)
        else:
            _unknown(place, lines.of(here), full)


def _unknown(place: str, line: int, name: str) -> None:
    near = nearest(name)
    raise PolicyWrong(place, line, name, "is not a key", hint=f"did you mean {near}?" if near else "")


def from_environment(environ: Mapping[str, str]) -> Layer:
    """What `KAGE_GUARD_*` variables say. Raises PolicyWrong; one that nobody knows is wrong, too."""
    known = {key.variable: key for key in KEYS.values()}
    entries: list[Entry] = []
    for name in sorted(environ):
        if not name.startswith("KAGE_GUARD_"):
            continue
        key = known.get(name)
        if key is None:
            near = nearest(name.removeprefix("KAGE_").lower().replace("_", "."))
            hint = f"did you mean {KEYS[near].variable}?" if near in KEYS else ""
            raise PolicyWrong("the environment", 0, name, "is not a variable of Kage", hint=hint)
        entries.append(Entry(key=key.name, value=checked(key, _spelled(key, environ[name], name), name, 0, None, ())))
    return Layer(place="the environment", entries=tuple(entries))


def _spelled(key: Key, text: str, name: str) -> object:
    match key.kind:
        case "patterns" | "hosts":
            return [item.strip() for item in text.split(",") if item.strip()]
        case "yes":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
                text.lower(), text
            )
        case "count":
            return int(text) if text.isdigit() else text
        case "rules":
            try:
                return tomllib.loads(f"rules = {text}")["rules"]
            except tomllib.TOMLDecodeError as error:
                raise PolicyWrong(name, 0, "", f"is no TOML list of rules: {error}") from None
        case _:
            return text


# --- values ------------------------------------------------------------------------------------------------------


def checked(key: Key, value: object, place: str, line: int, lines: "_Lines | None", path: tuple[str, ...]) -> Value:
    """A value of the key's kind. Raises PolicyWrong."""

    def wrong(what: str) -> PolicyWrong:
        return PolicyWrong(place, line, key.name, what)

    match key.kind:
        case "level":
            if value not in LEVELS:
                raise wrong(f"{value!r} is not one of {', '.join(LEVELS)}")
            return str(value)
        case "after":
            if value not in AFTER_THE_ACT:
                raise wrong(f"{value!r} is not one of {', '.join(AFTER_THE_ACT)}")
            return str(value)
        case "verdict":
            if value not in RANK:
                raise wrong(f"{value!r} is not one of {', '.join(RANK)}")
            return str(value)
        case "yes":
            if not isinstance(value, bool):
                raise wrong(f"{value!r} is neither true nor false")
            return value
        case "count":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
                raise wrong(f"{value!r} is not a whole number from 0 on")
            return value
        case "size":
            return _size(value, wrong)
        case "duration":
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise wrong(f'{value!r} is no duration, such as "30m"')
            limit = parse_duration_limit_us(str(value), path=f"{place}:{line}: {key.name}")
            return 0.0 if limit is None else limit / 1e6
        case "patterns" | "hosts":
            if not isinstance(value, list):
                raise wrong("must be a list of texts")
            for item in value:
                if not isinstance(item, str):
                    raise wrong(f"{item!r} is not a text")
                problem = pattern_problem(item) if key.kind == "patterns" else _host_problem(item)
                if problem:
                    raise wrong(f"{item!r} {problem}")
            return tuple(value)
        case "rules":
            if not isinstance(value, list) or len(value) > MAX_RULES:
                raise wrong(f"must be a list of at most {MAX_RULES} rules: [[{key.name}]]")
            return tuple(
                _rule(item, place, lines.of(path, number) if lines is not None else line, key.name)
                for number, item in enumerate(value)
            )


def _size(value: object, wrong: Callable[[str], PolicyWrong]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise wrong(f'{value!r} is no size, such as "64MiB"')
    return int(found.group(1)) * _UNITS[(found.group(2) or "")[:1].lower()]


def _host_problem(host: str) -> str:
    return "" if _HOST.fullmatch(host) else "is not the name of a host, nor `*.` and one"


def _rule(item: object, place: str, line: int, key: str) -> PeopleRule:
    if not isinstance(item, dict):
        raise PolicyWrong(place, line, key, f"{item!r} is not a table with a verdict")
    for name, value in item.items():
        if name not in RULE_FIELDS:
            raise PolicyWrong(place, line, f"{key}.{name}", f"is not a key; a rule has {', '.join(RULE_FIELDS)}")
        if name != "expires" and not isinstance(value, str):
            raise PolicyWrong(place, line, f"{key}.{name}", f"{value!r} is not a text")
    verdict = item.get("verdict")
    if verdict not in RANK:
        raise PolicyWrong(place, line, f"{key}.verdict", f"{verdict!r} is not one of {', '.join(RANK)}")
    path, command = item.get("path", ""), item.get("command", "")
    if path and (problem := pattern_problem(path)):
        raise PolicyWrong(place, line, f"{key}.path", f"{path!r} {problem}")
    if path and command:
        raise PolicyWrong(place, line, key, "has a path and a command: nothing has both; make two rules of it")
    expires = item.get("expires")
    if expires is not None and (not isinstance(expires, datetime) or expires.tzinfo is None):
        raise PolicyWrong(place, line, f"{key}.expires", "must be a time with its zone: 2027-01-31T18:00:00Z")
    return PeopleRule(
        verdict=verdict, tool=item.get("tool", ""), path=path, command=command,
        expires_us=int(expires.timestamp() * 1e6) if expires is not None else 0,
        source=f"{place}:{line}" if line else place,
    )  # fmt: skip


# --- lines -------------------------------------------------------------------------------------------------------

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?")
_ASSIGNED: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_FENCE: Final = re.compile('"""|' + "'''")


class _Lines:
    """Where keys stand in a text."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[tuple[str, ...], int], int] = {}
        counts: dict[tuple[str, ...], int] = {}
        prefix: tuple[str, ...] = ()
        fenced = False
        for number, line in enumerate(text.splitlines(), 1):
            fences = len(_FENCE.findall(line))
            if fenced:
                fenced = fences % 2 == 0
                continue
            if (header := _HEADER.match(line)) is not None:
                prefix = _parts(header.group(2))
                if header.group(1) == "[[":
                    counts[prefix] = counts.get(prefix, -1) + 1
                    self._found[prefix, counts[prefix]] = number
                self._found.setdefault((prefix, 0), number)
            elif (assigned := _ASSIGNED.match(line)) is not None:
                self._found.setdefault(((*prefix, *_parts(assigned.group(1))), 0), number)
            fenced = fences % 2 == 1

    def of(self, path: tuple[str, ...], index: int = 0) -> int:
        """The line of a key, else of the table that it is in."""
        if (path, index) in self._found:
            return self._found[path, index]
        for end in range(len(path), 0, -1):
            if (path[:end], 0) in self._found:
                return self._found[path[:end], 0]
        return next((line for (known, _), line in self._found.items() if known[: len(path)] == path), 1)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
