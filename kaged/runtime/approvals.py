"""What may be asked of approvals: found by prefix, answered once, expired by their deadline.

An answer and the agent's input that carries it are one commit. Runs on the event loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from kaged.domain.errors import Invalid, NotFound
from kaged.domain.events import facts
from kaged.domain.events.rule import RuleAdded
from kaged.domain.machines import agent as machine
from kaged.domain.machines import approval as approvals
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.domain.signals import Ask
from kaged.ports import Adapter
from kaged.runtime.engine import Caller, Engine, Receipt
from kaged.runtime.recorded import fact_in
from kaged.runtime.refusals import MAX_REFERENCE, MIN_PREFIX, AgentAmbiguous
from kaged.runtime.rule_book import Remembered, RuleBook
from kaged.runtime.wishes import Wish
from kaged.store.derived.views import Views
from kaged.store.wire.codec import Draft


class ApprovalNotFound(NotFound):
    """No approval has this id."""

    reason = "APPROVAL_NOT_FOUND"

    def __init__(self, approval: str) -> None:
        super().__init__(f"no approval {approval!r}", hint="kagectl approval list shows them", approval=approval)


class Approvals:
    """See the module. `load_agent`: an agent's state, also of one that has ended; `scene`: its workspace and home."""

    def __init__(
        self,
        engine: Engine,
        views: Views,
        adapters: Mapping[str, Adapter],
        load_agent: Callable[[str], AgentState],
        book: RuleBook,
        scene: Callable[[AgentState], tuple[str, str]],
    ) -> None:
        self._engine = engine
        self._views = views
        self._adapters = adapters
        self._load_agent = load_agent
        self._book = book
        self._scene = scene

    def asked_in(self, frames: list[bytes]) -> list[ApprovalState]:
        """Questions as they stand now, of the events that asked them. In a thread: it reads."""
        asked = [event for event in map(fact_in, frames) if isinstance(event, facts.ApprovalRequested)]
        states = [self._views.approval(event.approval) for event in asked]
        return [state for state in states if state is not None]

    def resolve(self, reference: str) -> str:
        """Id of an approval given by id or unique prefix. Raises Invalid, ApprovalNotFound, AgentAmbiguous."""
        if not reference:
            raise Invalid(("approval", "is empty"))
        if "\0" in reference or len(reference) > MAX_REFERENCE:
            raise ApprovalNotFound(reference)
        if reference in self._engine.world.approvals or self._views.approval(reference) is not None:
            return reference
        found = self._views.approvals_with_prefix(reference, 3) if len(reference) >= MIN_PREFIX else []
        if len(found) > 1:
            raise AgentAmbiguous(reference, found, "approval")
        if not found:
            raise ApprovalNotFound(reference)
        return found[0]

    def get(self, approval: str) -> ApprovalState:
        """A question as it stands."""
        state = self._engine.world.approvals.get(approval) or self._views.approval(approval)
        if state is None:
            raise ApprovalNotFound(approval)
        return state

    async def answer(
        self, approval: str, caller: Caller, *, approve: bool, note: str, wish: Wish | None = None
    ) -> ApprovalState:
        """Answer a question; `wish`: let more of the same through. Raises AlreadyAnswered with who was first, and
        Invalid for a wish that would not do what it says; then nothing is answered either."""

        def act() -> Receipt:
            drafts = self._answer_drafts(approval, "approved" if approve else "denied", note)
            if wish is not None:
                drafts = [*self._book.drafts(self._rules(approval, wish)), *drafts]
            return self._engine.commit(drafts, caller)

        await self._engine.once(caller, act)
        return self._views.approval(approval) or self.get(approval)

    def remembered_with(self, approval: str) -> list[Remembered]:
        """The rules that came with its answer and still hold."""
        rules = self._book.rules(self._engine.journal.now_us())
        return [each for each in rules if each.fact.approval == approval]

    def _rules(self, approval: str, wish: Wish) -> list[RuleAdded]:
        # Reads shell as the guardrails do: 5 % of a start, which only the first such answer needs.
        from kaged.runtime.remembering import Scene, rules_for  # noqa: PLC0415

        question = self.get(approval)
        state = self._load_agent(question.agent)
        workspace, home = self._scene(state)
        scene = Scene(workspace=workspace, home=home, now_us=self._engine.journal.now_us())
        return rules_for(question, state, wish, scene, self._engine.system.short_id)

    def expire(self, approval: str) -> None:
        """Its deadline has passed."""
        if approval in self._engine.world.approvals:
            self._engine.commit(self._answer_drafts(approval, "expired", "nobody answered in time"))

    def _answer_drafts(
        self, approval: str, outcome: Literal["approved", "denied", "expired"], note: str
    ) -> list[Draft]:
        question = self.get(approval)
        answered = approvals.decide_answer(question, outcome=outcome, note=note)
        state = self._load_agent(question.agent)
        events: list[facts.AgentEvent] = [answered]
        ask = Ask(
            key=question.key, kind="question" if question.kind == "question" else "action", title=question.title,
            tool=question.tool, data_json=question.data_json, why=question.why,
        )  # fmt: skip
        words = self._adapters[state.spec.adapter].answer(ask, outcome, note)
        if words and state.live_run is not None and not state.live_run.input_closed:
            events += machine.decide_input(replace(state, stop=None), words, eof=False)
        return self._engine.agent_drafts(question.agent, events)
