"""Our supervision tree and OTP's tell the same story: every start and stop, in order, and what is left.

Back-off is off, because OTP has none. KAGE_ERLANG_SEED and KAGE_ERLANG_COUNT look at other scenarios.
"""

import json
import os
from pathlib import Path

import pytest

from tests.erlang.otp import OtpNode, is_here
from tests.erlang.ours import Ours
from tests.erlang.record import TRACES
from tests.erlang.scenarios import Scenario, Step, Tree, scenario

SEED = int(os.environ.get("KAGE_ERLANG_SEED", "100000"))
COUNT = int(os.environ.get("KAGE_ERLANG_COUNT", "300"))


def told(tree: Tree, steps: list[Step], lines: list[str]) -> str:
    """A story as text, so that a failing comparison shows where it takes another turn."""
    return "\n".join(
        [f"tree {json.dumps(tree)}", *(f"{json.dumps(s)}: {line}" for s, line in zip(steps, lines, strict=True))]
    )


def ours(made: Scenario) -> str:
    mine = Ours(made.tree)
    return told(made.tree, made.steps, [mine.play(step) for step in made.steps])


@pytest.mark.parametrize("recorded", sorted(TRACES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_recorded_otp_traces_come_out_the_same_here(recorded: Path) -> None:
    traces = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    assert len(traces) >= 200
    for trace in traces:
        assert ours(Scenario(trace["tree"], trace["steps"])) == told(trace["tree"], trace["steps"], trace["seen"])


@pytest.mark.erlang
@pytest.mark.skipif(
    not is_here(), reason="NO ERLANG HERE: only the recorded traces were compared (erl, erlc not found)"
)
def test_a_live_otp_does_the_same_in_random_scenarios(tmp_path: Path) -> None:
    with OtpNode(tmp_path) as node:
        for seed in range(SEED, SEED + COUNT):
            made = scenario(seed)
            assert ours(made) == told(made.tree, made.steps, node.run(made)), f"KAGE_ERLANG_SEED={seed}"
