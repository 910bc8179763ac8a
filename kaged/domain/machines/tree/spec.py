"""What a supervision tree should be: supervisors, their children in order, and the rules that a spec must keep.

A spec is a value. `validate` finds everything that is wrong at once, as (field path, text); what passed it is
not checked again. `spec_to_json` is canonical: equal specs give equal bytes.

Not here: what runs (`state.py`), and what `work` means: to the tree it is an opaque name (a digest of the agent
spec), and another name means another child.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from kaged.domain.frozen import frozen
from kaged.domain.restart import Backoff

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]
WhenToShutDown = Literal["never", "any_significant", "all_significant"]
Shutdown: TypeAlias = int | Literal["brutal", "infinity"]  # an int is milliseconds of grace

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
RESTARTS = ("permanent", "transient", "temporary")
WHEN_TO_SHUT_DOWN = ("never", "any_significant", "all_significant")

MAX_DEPTH = 16
MAX_NODES = 100_000
MAX_INTENSITY = 10_000  # the restart window is kept in memory and in every snapshot
MAX_PERIOD_S = 10_000_000.0
MAX_GRACE_MS = 24 * 3_600_000
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@frozen
class ChildSpec:
    """A leaf. `work` names what runs; the rest is how its supervisor treats it."""

    id: str
    work: str
    restart: Restart = "permanent"
    shutdown: Shutdown = 5_000
    significant: bool = False
    backoff: Backoff | None = None


@frozen
class SupervisorSpec:
    """A supervisor. `restart`, `shutdown`, `significant` and `backoff` are how its own supervisor treats it.

    More than `intensity` restarts within `period_s` seconds end it. At the root, whose parent is nobody,
    the four are left at their defaults.
    """

    id: str
    strategy: Strategy = "one_for_one"
    intensity: int = 1
    period_s: float = 5.0
    auto_shutdown: WhenToShutDown = "never"
    children: tuple["NodeSpec", ...] = ()
    restart: Restart = "permanent"
    shutdown: Shutdown = "infinity"
    significant: bool = False
    backoff: Backoff | None = None


NodeSpec: TypeAlias = ChildSpec | SupervisorSpec
Violation: TypeAlias = tuple[str, str]


def find(spec: SupervisorSpec, path: str) -> NodeSpec | None:
    """The spec at a path below this one, or None. "" is this one."""
    here: NodeSpec = spec
    for name in path.split("/") if path else ():
        children = here.children if isinstance(here, SupervisorSpec) else ()
        below = next((child for child in children if child.id == name), None)
        if below is None:
            return None
        here = below
    return here


# --- the rules ----------------------------------------------------------------------------------------------


def validate(spec: SupervisorSpec) -> tuple[Violation, ...]:
    """Everything that is wrong with a whole tree, as (field path, text); empty means good.

    A field path reads like `children[0].children[2].shutdown`.
    """
    found = list(_supervisor(spec, "", 1))
    if spec.restart != "permanent" or spec.significant or spec.shutdown != "infinity" or spec.backoff:
        found.append(("", "the root has no supervisor: restart, shutdown, significant and backoff say nothing"))
    if _count(spec) > MAX_NODES:
        found.append(("children", f"more than {MAX_NODES} nodes"))
    return tuple(found)


def _supervisor(spec: SupervisorSpec, at: str, depth: int) -> Iterator[Violation]:
    dot = f"{at}." if at else ""
    yield from _id(spec.id, dot)
    if depth > MAX_DEPTH:
        yield at, f"nested more than {MAX_DEPTH} deep"
        return
    if spec.strategy not in STRATEGIES:
        yield f"{dot}strategy", f"{spec.strategy!r} is not one of {', '.join(STRATEGIES)}"
    if not 0 <= spec.intensity <= MAX_INTENSITY:
        yield f"{dot}intensity", f"must be from 0 to {MAX_INTENSITY}"
    if not 0 < spec.period_s <= MAX_PERIOD_S:
        yield f"{dot}period_s", f"must be more than 0 and at most {MAX_PERIOD_S:.0f} seconds"
    if spec.auto_shutdown not in WHEN_TO_SHUT_DOWN:
        yield f"{dot}auto_shutdown", f"{spec.auto_shutdown!r} is not one of {', '.join(WHEN_TO_SHUT_DOWN)}"
    if spec.shutdown != "infinity":
        # A supervisor that is killed on a timer leaves its own children behind.
        yield f"{dot}shutdown", "a supervisor is always given the time to stop its children: infinity"
    seen: set[str] = set()
    for index, child in enumerate(spec.children):
        below = f"{dot}children[{index}]"
        if child.id in seen:
            yield f"{below}.id", "another child of this supervisor has the same id"
        seen.add(child.id)
        yield from _treatment(child, spec, below)
        if isinstance(child, SupervisorSpec):
            yield from _supervisor(child, below, depth + 1)
        else:
            yield from _leaf(child, f"{below}.")


def _treatment(child: NodeSpec, parent: SupervisorSpec, at: str) -> Iterator[Violation]:
    if child.restart not in RESTARTS:
        yield f"{at}.restart", f"{child.restart!r} is not one of {', '.join(RESTARTS)}"
    if child.significant and parent.auto_shutdown == "never":
        yield f"{at}.significant", "its supervisor has auto_shutdown = never, so nothing would come of it"
    if child.significant and child.restart == "permanent":
        yield f"{at}.significant", "a permanent child is always restarted, so it can never be what ends others"
    if child.backoff is not None:
        yield from _backoff(child.backoff, f"{at}.backoff.")


def _leaf(spec: ChildSpec, dot: str) -> Iterator[Violation]:
    yield from _id(spec.id, dot)
    if not spec.work:
        yield f"{dot}work", "must name what runs"
    grace = spec.shutdown
    if isinstance(grace, str):
        if grace not in ("brutal", "infinity"):
            yield f"{dot}shutdown", f"{grace!r} is not brutal, infinity or a number of milliseconds"
    elif not 0 <= grace <= MAX_GRACE_MS:
        yield f"{dot}shutdown", f"must be from 0 to {MAX_GRACE_MS} milliseconds"


def _id(name: str, dot: str) -> Iterator[Violation]:
    if not _ID.fullmatch(name):
        yield f"{dot}id", "1 to 128 letters, digits, '.', '_' or '-', not starting with '.' or '-'"


def _backoff(backoff: Backoff, dot: str) -> Iterator[Violation]:
    for field, value, least in (
        ("base_s", backoff.base_s, 0.0),
        ("factor", backoff.factor, 1.0),
        ("max_s", backoff.max_s, 0.0),
        ("healthy_after_s", backoff.healthy_after_s, 0.0),
    ):
        if not math.isfinite(value) or not least <= value <= MAX_PERIOD_S:
            yield f"{dot}{field}", f"must be from {least:g} to {MAX_PERIOD_S:.0f}"


def _count(spec: NodeSpec) -> int:
    return 1 + (sum(map(_count, spec.children)) if isinstance(spec, SupervisorSpec) else 0)


# --- as text ------------------------------------------------------------------------------------------------


def spec_to_json(spec: SupervisorSpec) -> str:
    """Canonical JSON: sorted keys, no blanks, every field written out."""
    return json.dumps(spec_to_plain(spec), sort_keys=True, separators=(",", ":"))


def spec_from_json(text: str) -> SupervisorSpec:
    """The spec that `spec_to_json` wrote. It was validated when it was accepted; only its shape is read here."""
    spec = spec_from_plain(json.loads(text))
    assert isinstance(spec, SupervisorSpec)
    return spec


def spec_to_plain(spec: NodeSpec) -> dict[str, object]:
    """A spec as JSON values."""
    plain: dict[str, object] = {
        "id": spec.id,
        "restart": spec.restart,
        "shutdown": spec.shutdown,
        "significant": spec.significant,
        "backoff": spec.backoff
        and {
            "base_s": float(spec.backoff.base_s),
            "factor": float(spec.backoff.factor),
            "max_s": float(spec.backoff.max_s),
            "healthy_after_s": float(spec.backoff.healthy_after_s),
        },
    }
    if isinstance(spec, ChildSpec):
        return plain | {"work": spec.work}
    return plain | {
        "strategy": spec.strategy,
        "intensity": spec.intensity,
        "period_s": float(spec.period_s),
        "auto_shutdown": spec.auto_shutdown,
        "children": [spec_to_plain(child) for child in spec.children],
    }


def spec_from_plain(plain: dict) -> NodeSpec:  # type: ignore[type-arg]  # JSON has no better type
    """The other way."""
    fields = dict(plain)
    if fields["backoff"] is not None:
        fields["backoff"] = Backoff(**fields["backoff"])
    if "work" in fields:
        return ChildSpec(**fields)
    fields["children"] = tuple(spec_from_plain(child) for child in fields["children"])
    return SupervisorSpec(**fields)
