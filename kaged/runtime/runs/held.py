"""What a run is held to, and who judges by it: the words between `guarding.py`, `verdicts.py` and `run_host.py`."""

from collections.abc import Sequence
from typing import Literal, Protocol

from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.guardrails.context import Policy
from kaged.runtime.runs.capture import Reading

Event = facts.AgentEvent | GuardrailJudged

Reach = Literal["", "once", "span"]
"""Not at all, one commit, as much as it likes until its call is over."""


@frozen
class Fence:
    """What of the machine matters: folders of Kage's own, and the home that `~` means."""

    guarded: tuple[str, ...] = ()
    home: str = ""


@frozen
class Held:
    """What a run is held to. `named`: somebody said the level, it is not just the default."""

    run: str
    policy: Policy
    workspace: str
    named: bool = False


class Judge(Protocol):
    """Who judges (`verdicts.Verdicts`)."""

    def questions(self, state: AgentState, run: str, reading: Reading, held: Held) -> Sequence[Event]:
        """Facts for what was asked and taken back; adds the answers that rules give to `reading.sends`."""

    def heard(self, state: AgentState, run: str, reading: Reading, held: Held) -> Sequence[GuardrailJudged]:
        """Facts for what was done and should not have been."""

    def unfinished(self, state: AgentState, run: str, held: Held) -> Sequence[GuardrailJudged]:
        """Facts for calls of a run that is over which never came to their end."""

    def commits(self, state: AgentState, tool: str, title: str, data_json: str) -> Reach:
        """How far an approved act may change history."""

    def asked_over(self, state: AgentState) -> Sequence[str]:
        """Keys of questions about calls that are over, each told once."""

    def forget(self, agent: str) -> None:
        """Its run is over."""
