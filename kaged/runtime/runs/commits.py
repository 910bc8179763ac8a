"""Commits of agents that are held to a level: git refuses them in the agent's place until they are approved.

    before a run     `ports.Workspaces.hold_commits`: hooks in its worktree or copy, or none any more
    approved         a grant, before the answer reaches the agent: for one commit, or for as long as its call takes
    call is over     the grant is taken back

A daemon that is killed between an approval and its grant leaves none: the agent is refused and asks again. Not here:
who is asked (`verdicts.py`), what git does (`kaged/workspace/commits.py`, `kaged/guardrails/hook.py`).
"""

import asyncio
import logging
from typing import Final

from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.machines.agent import AgentState
from kaged.domain.workspace import Plan
from kaged.ports import Workspaces
from kaged.runtime.engine import Engine
from kaged.runtime.runs.guarding import Guarding
from kaged.store.wire.codec import Draft

_ONE_S: Final = 3600  # a commit may first run all tests
_SPAN_S: Final = 900
log = logging.getLogger("kaged.guard")


class Commits:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, guarding: Guarding, places: Workspaces) -> None:
        self._engine = engine
        self._guarding = guarding
        self._places = places

    async def prepare(self, agent: str) -> None:
        """Before a run. Raises KageError, OSError: then what its level promises could not be kept."""
        state = self._engine.world.agent(agent)
        plan = _place(state)
        if state is not None and plan is not None:
            held = self._guarding.holds_commits(state)
            await asyncio.to_thread(self._places.hold_commits, plan, held=held)

    def happened(self, draft: Draft, seq: int) -> None:
        """Something was approved. Heard of before the answer is on its way."""
        match draft.event:
            case facts.ApprovalAnswered(outcome="approved") as answered:
                asked = self._engine.world.approvals.get(answered.approval)
                if asked is not None and asked.kind == "action":
                    self._approved(draft.agent, asked.key, asked.tool, asked.title, asked.data_json)
            case GuardrailJudged(verdict="allow", after=False) as judged:
                self._approved(draft.agent, judged.key, judged.tool, judged.title, judged.data_json)
            case _:
                pass

    def _approved(self, agent: str, key: str, tool: str, title: str, data_json: str) -> None:
        state = self._engine.world.agent(agent)
        plan = _place(state)
        if state is None or plan is None or not self._guarding.holds_commits(state):
            return
        reach = self._guarding.commits(state, tool, title, data_json)
        if not reach:
            return
        until_s = self._engine.journal.now_us() // 1_000_000 + (_ONE_S if reach == "once" else _SPAN_S)
        try:
            self._places.grant(plan, name_of(key), once=reach == "once", until_s=until_s)
        except OSError as error:  # git refuses the commit, and the agent may ask again
            log.warning("grant_failed agent=%s error=%s", agent, error)

    def over(self, agent: str, key: str) -> None:
        """The call that a question was about is over."""
        plan = _place(self._engine.world.agent(agent))
        if plan is None:
            return
        try:
            self._places.withdraw(plan, name_of(key))
        except OSError as error:
            log.warning("grant_left agent=%s error=%s", agent, error)


def _place(state: AgentState | None) -> Plan | None:
    place = state.workspace if state is not None else None
    return place.plan if place is not None and place.plan.kind != "here" else None


def name_of(key: str) -> str:
    """A name for a file, from an agent's own key for its question."""
    return "q" + key.encode("utf-8", "surrogatepass").hex()[:128]
