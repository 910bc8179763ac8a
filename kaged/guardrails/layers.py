"""Layers of policy merged into one, with the place that each value came from. Pure.

    defaults < user < namespace < repository < environment < an agent's spec (`policy.with_guard`)

A later layer's value takes the place of an earlier one; lists grow. A repository's layer may only tighten: a looser
value there is refused with its file, line and key, not ignored, so that nobody believes in a rule that does not hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from kaged.domain.frozen import frozen
from kaged.guardrails.context import AFTER_THE_ACT, DEFAULT_POLICY, LEVELS, PeopleRule, Policy
from kaged.guardrails.keys import KEYS, Key
from kaged.guardrails.policy_file import Entry, Layer, PolicyWrong, Value
from kaged.guardrails.verdict import RANK

DEFAULT: Final = "default"
_LISTS: Final = frozenset({"patterns", "hosts", "rules"})


@frozen
class Effective:
    """One key as it holds, and the places that said so: the last one, or, of a list, all of them."""

    key: Key
    value: Value
    origins: tuple[str, ...] = (DEFAULT,)


@frozen
class Merged:
    """The policy, and each key of it."""

    policy: Policy = DEFAULT_POLICY
    keys: Mapping[str, Effective]

    def origin(self, key: str) -> str:
        """Where a key's value came from; `default` when nobody said it."""
        return self.keys[key].origins[-1]


def merge(layers: Iterable[Layer], namespace: str) -> Merged:
    """All layers, from the weakest. Raises PolicyWrong for one that loosens and may not."""
    keys = {name: Effective(key=key, value=_part(DEFAULT_POLICY, key)) for name, key in KEYS.items()}
    for layer in layers:
        here = [entry for entry in layer.entries if not entry.namespace]
        here += [entry for entry in layer.entries if entry.namespace == namespace]
        for entry in here:
            keys[entry.key] = _with(keys[entry.key], entry, layer)
    policy = DEFAULT_POLICY
    dangers = dict(policy.dangers)
    changes: dict[str, Any] = {}  # checked, each by its key
    for effective in keys.values():
        table, _, name = effective.key.part.partition(".")
        if name:
            dangers[name] = effective.value  # type: ignore[assignment]  # checked to be a verdict
        else:
            changes[table] = effective.value
    return Merged(policy=replace(policy, dangers=dangers, **changes), keys=keys)


def _part(policy: Policy, key: Key) -> Value:
    table, _, name = key.part.partition(".")
    value: Value = policy.dangers[name] if name else getattr(policy, table)
    return value


def _with(before: Effective, entry: Entry, layer: Layer) -> Effective:
    key = before.key
    variable = key.variable if layer.place == "the environment" else ""
    origin = variable or (f"{layer.place}:{entry.line}" if entry.line else layer.place)
    if entry.namespace:
        origin += f" (namespace {entry.namespace})"
    if layer.tightens and (problem := _loosens(key, before.value, entry.value)):
        raise PolicyWrong(
            layer.place, entry.line, key.name, problem,
            hint="a repository may only make things stricter; say it in your own configuration",
        )  # fmt: skip
    if key.kind in _LISTS:
        assert isinstance(before.value, tuple)
        assert isinstance(entry.value, tuple)
        joined = (*before.value, *entry.value)
        said = tuple(each for each in before.origins if each != DEFAULT)
        return Effective(key=key, value=joined, origins=(*said, origin))
    return Effective(key=key, value=entry.value, origins=(origin,))


def _loosens(key: Key, before: Value, after: Value) -> str:
    """What is wrong with a repository's saying this; empty: it tightens, or says the same."""
    match key.tight:
        case "never":
            return "may not be set by a repository"
        case "stricter":
            words = {"level": LEVELS, "after": AFTER_THE_ACT}.get(key.kind, tuple(RANK))  # from the loosest
            rank = {word: at for at, word in enumerate(words)}
            if rank[str(after)] < rank[str(before)]:
                return f"{after!r} is looser than {before!r}, which holds already"
        case "lower":
            limit = float("inf")
            if (float(str(after)) or limit) > (float(str(before)) or limit):
                return f"{after} is looser than {before}, which holds already"
        case "yes":
            if before and not after:
                return "may not be switched off by a repository"
        case "longer":
            assert isinstance(after, tuple)
            for rule in after:
                if isinstance(rule, PeopleRule) and rule.verdict == "allow":
                    return "a repository may not allow anything"
    return ""
