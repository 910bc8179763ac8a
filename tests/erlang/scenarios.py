"""A scenario: a tree and what is done to it, step by step. Random ones follow our machine to stay interesting.

Kept as plain lists, the shape of the trace files:

    tree = ["sup", id, strategy, intensity, auto_shutdown, restart, significant, [tree, ...]]
         | ["work", id, restart, significant, how many of its first starts fail]
    step = ["start"] | ["stop"] | ["fails", path, n] | ["exit", path, how]
         | ["burst", supervisor, [[path, how], ...]] | ["terminate" | "restart" | "delete", path]

What is seen after a step is one line, `reply|what happened|what is there`, as kage_tree.erl prints it.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.erlang.ours import Ours

Tree = list[Any]
Step = list[Any]

HOWS = ("normal", "shutdown", "crash", "crash", "crash")


@dataclass
class Scenario:
    tree: Tree
    steps: list[Step] = field(default_factory=list)


def scenario(seed: int) -> Scenario:
    """The scenario of this seed: the same one for ever, as long as this file and our machine stay the same."""
    rng = random.Random(seed)
    tree = _supervisor(rng, "main", depth=rng.randint(1, 3), restart="permanent", significant=False)
    ours, steps = Ours(tree), []
    for _ in range(rng.randint(4, 16)):
        step = _step(rng, ours)
        steps.append(step)
        ours.play(step)
    return Scenario(tree, steps)


def _supervisor(rng: random.Random, name: str, *, depth: int, restart: str, significant: bool) -> Tree:
    auto = rng.choice(("never", "never", "any_significant", "all_significant"))
    children = []
    for child in "abcd"[: rng.choice((1, 2, 3, 3, 4))]:
        how = rng.choice(("permanent", "permanent", "transient", "transient", "temporary"))
        matters = auto != "never" and how != "permanent" and rng.random() < 0.6
        if depth > 1 and rng.random() < 0.45:
            children.append(_supervisor(rng, child, depth=depth - 1, restart=how, significant=matters))
        else:
            fails = rng.choice((1, 2)) if rng.random() < 0.02 else 0
            children.append(["work", child, how, matters, fails])
    strategy = rng.choice(("one_for_one", "one_for_all", "rest_for_one"))
    return ["sup", name, strategy, rng.choice((0, 1, 2, 3, 5, 20)), auto, restart, significant, children]


def _step(rng: random.Random, ours: Ours) -> Step:
    if ours.dead():
        return ["start"]
    leaves, everyone, running = ours.leaves(), ours.everyone(), ours.running_leaves()
    roll = rng.random()
    if roll < 0.45 and running:
        return ["exit", rng.choice(running), rng.choice(HOWS)]
    if roll < 0.60 and running:
        sup = rng.choice(running).rpartition("/")[0]
        among = [path for path in running if path.rpartition("/")[0] == sup]
        rng.shuffle(among)
        return ["burst", sup, [[path, rng.choice(HOWS)] for path in among[: rng.randint(1, 3)]]]
    if roll < 0.70 and leaves:
        return ["fails", rng.choice(leaves), rng.choice((1, 1, 2, 3))]
    if roll < 0.83:
        return ["terminate", _somebody(rng, everyone)]
    if roll < 0.98:
        stopped = ours.stopped()
        return [
            rng.choice(("restart", "delete")),
            _somebody(rng, stopped if stopped and rng.random() < 0.7 else everyone),
        ]
    return ["stop"]


def _somebody(rng: random.Random, everyone: list[str]) -> str:
    if not everyone or rng.random() < 0.04:
        return "nobody"
    return rng.choice(everyone)
