"""When people are told: a durable fact that needs one becomes a notice. Runs on the event loop, never waits.

    approval.requested -> approval, question     goal.paused (not by a person, not for a while) -> paused
    agent.ended -> failed, finished              (cancelled: somebody did that)

A notice is posted when its fact is durable, once by each daemon that sees that. One that was killed before it told
leaves nothing behind: the next sums up at its start what is still open. Not here: how people are told (`Announcer`).
"""

from collections.abc import Callable
from typing import Final

from kaged.domain.errors import KageError
from kaged.domain.events import facts
from kaged.domain.events import goal as goal_facts
from kaged.domain.machines.agent import AgentState
from kaged.domain.notice import Notice, Reason
from kaged.ports import Announcer
from kaged.runtime.engine import Engine
from kaged.store.wire.codec import Draft

_MAX_TEXT: Final = 1000


class Notices:
    """See the module. `load_agent`: an agent's state, also of one that has ended."""

    def __init__(self, engine: Engine, load_agent: Callable[[str], AgentState], announcer: Announcer) -> None:
        self._engine = engine
        self._load_agent = load_agent
        self._announcer = announcer
        self._told: set[str] | None = set()  # until the start is over: what need not be summed up

    def happened(self, draft: Draft, seq: int) -> None:
        """A fact became durable."""
        match draft.event:
            case facts.ApprovalRequested() as asked:
                self._tell(
                    "question" if asked.kind == "question" else "approval", draft.agent, asked.title, asked.approval
                )
            case goal_facts.Paused() as paused if paused.cause != "user" and not paused.until_us:
                about = paused.limit or paused.rule or paused.failure
                self._tell("paused", draft.agent, f"{paused.cause}: {about}" if about else paused.cause)
            case facts.Ended(outcome="failed" | "succeeded") as ended:
                failed = ended.outcome == "failed"
                how = f"exit {ended.exit_code}" if ended.reason == "exit" else ended.reason.replace("_", " ")
                said = ended.note or (how if failed or ended.reason != "exit" else "succeeded")
                self._tell("failed" if failed else "finished", draft.agent, said)
            case _:
                pass

    def _tell(self, reason: Reason, agent: str, text: str, approval: str = "") -> None:
        if self._told is not None:
            self._told.add(approval or agent)
        if not self._announcer.wants(reason):
            return
        try:
            state = self._load_agent(agent)
        except KageError:
            return  # removed meanwhile: nobody needs to look
        self._announcer.post(
            Notice(
                reason=reason, text=_line(text), at_us=self._engine.journal.now_us(), agent=agent, id=approval,
                name=state.spec.name, namespace=state.spec.namespace, goal=_line(state.spec.goal),
            )
        )  # fmt: skip

    def sum_up(self) -> None:
        """At the start: one notice for what is open since an earlier daemon."""
        told, self._told = self._told or set(), None
        world = self._engine.world
        waiting = [each for each in world.approvals.values() if each.state == "open" and each.id not in told]
        held = [
            kept.state
            for kept in world.agents.values()
            if (goal := kept.state.goal) is not None
            and goal.phase == "paused"
            and goal.paused != "user"
            and not goal.until_us
            and kept.state.id not in told
        ]
        questions = [each for each in waiting if each.kind == "question"]
        counts: list[tuple[Reason, int, str, str]] = [
            ("approval", len(waiting) - len(questions), "action waits for an answer", "actions wait for an answer"),
            ("question", len(questions), "question waits for an answer", "questions wait for an answer"),
            ("paused", len(held), "agent is paused", "agents are paused"),
        ]
        wanted = [(reason, number, one, many) for reason, number, one, many in counts if number]
        wanted = [each for each in wanted if self._announcer.wants(each[0])]
        if wanted:
            text = "; ".join(f"{number} {one if number == 1 else many}" for _, number, one, many in wanted)
            self._announcer.post(Notice(reason=wanted[0][0], text=text, at_us=self._engine.journal.now_us()))


def _line(text: str) -> str:
    lines = text.replace("\0", "").strip().splitlines()
    return lines[0][:_MAX_TEXT] if lines else ""
