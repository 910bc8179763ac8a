"""What a run is held to, and who judges by it: the words between `guarding.py`, `verdicts.py` and `run_host.py`."""

from collections.abc import Sequence
from typing import Protocol

from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.guardrails.context import Policy
from kaged.runtime.runs.capture import Reading

Event = facts.AgentEvent | GuardrailJudged


@frozen
class Fence:
    """What of the machine matters: folders of Kage's own, and the home that `~` means."""

    guarded: tuple[str, ...] = ()
    home: str = ""


@frozen
class Held:
    """What a run is held to."""

    run: str
    policy: Policy
    workspace: str


class Judge(Protocol):
    """Who judges (`verdicts.Verdicts`)."""

    def questions(self, state: AgentState, run: str, reading: Reading, held: Held) -> Sequence[Event]:
        """Facts for what was asked and taken back; adds the answers that rules give to `reading.sends`."""

    def heard(self, state: AgentState, run: str, reading: Reading, held: Held) -> Sequence[GuardrailJudged]:
        """Facts for what was done and should not have been."""

    def forget(self, agent: str) -> None:
        """Its run is over."""
