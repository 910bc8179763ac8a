"""Verdicts about a run: what it asks is judged before a person hears of it, what it did without asking afterwards.

    question -> allow: answered at once, `guardrail.judged`      tool call that was not asked about, and is over
             -> deny:  answered at once, `guardrail.judged`          -> ask or deny: `guardrail.judged{after}`
             -> ask:   `approval.requested` with the rule

An answer is part of the commit that the question was read with, so it is given once. What is remembered of a run
here (its last calls) is lost with the daemon: a loop is then noticed a few calls later. A policy is read when a
run begins (`guarding.py`); this file and the rules are loaded for the first agent that has something to judge.
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from kaged.domain.events import facts
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.domain.signals import BY_RULE, Ask
from kaged.guardrails.action import Action, changes_history
from kaged.guardrails.context import Context
from kaged.guardrails.judge import judge, judge_output
from kaged.guardrails.paths import glob_root, has_glob
from kaged.guardrails.rules import loops, secrets
from kaged.guardrails.tools.registry import understood
from kaged.guardrails.verdict import Verdict
from kaged.ports import Adapter
from kaged.runtime.engine import Engine
from kaged.runtime.runs.capture import Reading
from kaged.runtime.runs.held import Event, Fence, Held, Reach
from kaged.runtime.system import System

_MAX_QUESTIONS: Final = 100  # open at once, of one agent; more are denied, or its state would grow without end
_CALLS: Final = 64  # tool calls of a run that are not over yet, and questions, that are remembered
_MAX_RESOLVED: Final = 128  # paths of one action whose links are followed
_ENDS: Final = 2048  # characters
_FLOOD_S: Final = 60.0


@frozen
class _Question:
    """What is remembered of a question: enough to know the call that it was about."""

    key: str
    tool: str
    digest: bytes
    ends: str  # the first and the last of its arguments, where ids stand


@dataclass(slots=True)
class _Seen:
    """What is remembered of a run. Bounded; the oldest goes first."""

    run: str
    calls: dict[str, facts.SignalHeard] = field(default_factory=dict)
    asks: "deque[_Question]" = field(default_factory=lambda: deque(maxlen=_CALLS))
    last_ask: bytes = b""
    ask_times: int = 0
    last_call: bytes = b""
    call_times: int = 0
    minute_began_s: float = 0
    minute_bytes: int = 0
    flooded: bool = False
    asked_over: list[str] = field(default_factory=list)


class Verdicts:
    """See the module. Used on the event loop only."""

    def __init__(self, engine: Engine, system: System, adapters: Mapping[str, Adapter], fence: Fence) -> None:
        self._engine = engine
        self._system = system
        self._adapters = adapters
        self._fence = fence
        self._seen: dict[str, _Seen] = {}

    def forget(self, agent: str) -> None:
        """Its run is over."""
        self._seen.pop(agent, None)

    def _of(self, state: AgentState) -> _Seen:
        run = state.run.id if state.run is not None else ""
        seen = self._seen.get(state.id)
        if seen is None or seen.run != run:
            seen = self._seen[state.id] = _Seen(run=run)
        return seen

    # --- questions -----------------------------------------------------------------------------------------------

    def questions(self, state: AgentState, run: str, reading: Reading, held: Held) -> list[Event]:
        """Facts for what was asked and taken back; adds the answers that rules give to `reading.sends`."""
        events: list[Event] = []
        open_keys = {
            approval.key: approval.id
            for approval in (self._engine.world.approvals.get(item) for item in state.approvals)
            if approval is not None and approval.run == run
        }
        now_us = self._engine.journal.now_us()
        answered: set[str] = set()
        for ask in reading.asks:
            if ask.key in open_keys or ask.key in answered:
                continue  # asked again: the question stands
            adapter = self._adapters[state.spec.adapter]
            if len(open_keys) >= _MAX_QUESTIONS:
                reading.sends += adapter.answer(ask, "denied", f"{_MAX_QUESTIONS} questions are open already")
                continue
            verdict = (
                self._asked(state, ask, reading, held) if ask.kind == "action" else Verdict(verdict="ask", rule="")
            )
            if verdict.rule == secrets.RULE:
                ask = replace(ask, title=secrets.redacted(ask.title), data_json=secrets.redacted(ask.data_json))
            if verdict.verdict == "ask":
                approval = open_keys[ask.key] = self._system.short_id()
                events.append(self._requested(ask, approval, run, verdict, now_us, held))
                continue
            answered.add(ask.key)
            said = "" if verdict.verdict == "allow" else _told(verdict)
            reading.sends += adapter.answer(ask, "denied" if said else "approved", said)
            if not verdict.plain:
                events.append(_judged(run, verdict, key=ask.key, title=ask.title, tool=ask.tool, data=ask.data_json))
        gone = [open_keys.pop(unask.key) for unask in reading.unasks if unask.key in open_keys]
        events += [facts.ApprovalWithdrawn(approval=approval, cause="agent") for approval in gone]
        return events

    def _requested(
        self, ask: Ask, approval: str, run: str, verdict: Verdict, now_us: int, held: Held
    ) -> facts.ApprovalRequested:
        within_s = ask.timeout_s or held.policy.answer_within_s
        why = ask.why
        if verdict.rule and not verdict.rule.startswith("approve."):
            why = f"{why}\n{verdict.rule}: {verdict.why}".strip()
        return facts.ApprovalRequested(
            approval=approval, run=run, key=ask.key, kind=ask.kind,
            deadline_us=now_us + int(within_s * 1e6) if within_s else 0,
            title=ask.title, tool=ask.tool, data_json=ask.data_json, why=why, rule=verdict.rule,
        )  # fmt: skip

    def _asked(self, state: AgentState, ask: Ask, reading: Reading, held: Held) -> Verdict:
        seen = self._of(state)
        ends = ask.data_json[:_ENDS] + ask.data_json[-_ENDS:]
        seen.asks.append(_Question(key=ask.key, tool=ask.tool, digest=_digest(ask.data_json), ends=ends))
        print_ = _digest(ask.tool, ask.title, ask.data_json)
        seen.ask_times = seen.ask_times + 1 if print_ == seen.last_ask else 1
        seen.last_ask = print_
        action = understood(
            state.spec.adapter, ask.tool, ask.data_json, ask.title, folder=state.cwd, home=self._home(state)
        )
        masked = any(isinstance(fact, facts.OutputChunk) and fact.masks for fact in reading.facts)
        return judge(action, self._context(state, held, action, repeats=seen.ask_times, masked=masked))

    # --- what was heard ------------------------------------------------------------------------------------------

    def heard(self, state: AgentState, run: str, reading: Reading, held: Held) -> list[GuardrailJudged]:
        """Facts for calls that were made without asking and should not have been; for loops and floods of output."""
        events: list[GuardrailJudged] = []
        for fact in reading.facts:
            if not isinstance(fact, facts.SignalHeard) or not fact.call:
                continue
            match fact.type:
                case "signal.tool.requested" | "signal.tool.started":
                    events += self._called(state, run, fact, held)
                case "signal.tool.finished":
                    events += self._finished(state, run, fact, held)
                case _:
                    pass
        events += self._printed(state, run, reading, held)
        return events

    def _called(self, state: AgentState, run: str, fact: facts.SignalHeard, held: Held) -> list[GuardrailJudged]:
        seen = self._of(state)
        known = seen.calls.get(fact.call)
        if known is not None:
            if fact.data_json:  # some tell the arguments only when it starts
                seen.calls[fact.call] = fact
            return []
        while len(seen.calls) >= _CALLS:
            seen.calls.pop(next(iter(seen.calls)))
        seen.calls[fact.call] = fact
        print_ = _digest(fact.tool, fact.text, fact.data_json)
        seen.call_times = seen.call_times + 1 if print_ == seen.last_call else 1
        seen.last_call = print_
        verdict = loops.judge(Action(), Context(policy=held.policy, repeats=seen.call_times))
        if verdict.verdict == "allow" or seen.call_times != held.policy.loop_calls:
            return []
        return [_judged(run, verdict, call=fact.call, title=fact.text, tool=fact.tool, after=True)]

    def _finished(self, state: AgentState, run: str, fact: facts.SignalHeard, held: Held) -> list[GuardrailJudged]:
        seen = self._of(state)
        call = seen.calls.pop(fact.call, None)
        if call is None:
            return []
        asked = [ask.key for ask in seen.asks if _is_about(ask, call)]
        seen.asked_over += asked
        return [] if fact.outcome == "denied" or asked else self._done(state, run, call, held)

    def unfinished(self, state: AgentState, run: str, held: Held) -> list[GuardrailJudged]:
        """Facts for calls of a run that is over which never came to their end: they may have done what they could."""
        seen = self._of(state)
        left = [call for call in seen.calls.values() if not any(_is_about(ask, call) for ask in seen.asks)]
        seen.calls.clear()
        return [fact for call in left for fact in self._done(state, run, call, held)]

    def _done(self, state: AgentState, run: str, call: facts.SignalHeard, held: Held) -> list[GuardrailJudged]:
        action = understood(
            state.spec.adapter, call.tool, call.data_json, call.text, folder=state.cwd, home=self._home(state)
        )
        verdict = judge(action, self._context(state, held, action, after=True))
        if verdict.verdict == "allow":
            return []
        return [_judged(run, verdict, call=call.call, title=call.text, tool=call.tool, after=True)]

    def asked_over(self, state: AgentState) -> list[str]:
        """Keys of questions about calls that are over, each told once."""
        seen = self._of(state)
        told, seen.asked_over = seen.asked_over, []
        return told

    def commits(self, state: AgentState, tool: str, title: str, data_json: str) -> Reach:
        """How far an approved act may change history: what cannot be read may do all of it."""
        action = understood(state.spec.adapter, tool, data_json, title, folder=state.cwd, home=self._home(state))
        if action.kind == "other" or (action.kind == "command" and action.unknown):
            return "span"
        words = [word for step in action.steps if (word := changes_history(step.command))]
        if words == ["commit"]:
            return "once"
        return "span" if any(word != "push" for word in words) else ""

    def _printed(self, state: AgentState, run: str, reading: Reading, held: Held) -> list[GuardrailJudged]:
        """A flood is told once in the minute in which it begins."""
        if not reading.recorded or not self._adapters[state.spec.adapter].listens:
            return []
        seen, now_s = self._of(state), self._system.monotonic_s()
        if now_s - seen.minute_began_s >= _FLOOD_S:
            seen.minute_began_s, seen.minute_bytes, seen.flooded = now_s, 0, False
        seen.minute_bytes += reading.recorded
        if seen.flooded:
            return []
        verdict = judge_output(Context(policy=held.policy, output_bytes=seen.minute_bytes))
        seen.flooded = verdict.verdict != "allow"
        return [_judged(run, verdict, after=True)] if seen.flooded else []

    # --- around --------------------------------------------------------------------------------------------------

    def _home(self, state: AgentState) -> str:
        return state.spec.environment.get("HOME", self._fence.home)

    def _context(
        self,
        state: AgentState,
        held: Held,
        action: Action,
        *,
        repeats: int = 1,
        masked: bool = False,
        after: bool = False,
    ) -> Context:
        workspace = held.workspace or state.cwd
        return Context(
            policy=held.policy,
            workspace=workspace,
            home=self._home(state),
            guarded=self._fence.guarded,
            agent=state.id,
            namespace=state.spec.namespace,
            now_us=self._engine.journal.now_us(),
            real=_really((*action.mentioned, workspace)),
            repeats=repeats,
            masked=masked,
            after=after,
        )


def _really(paths: Sequence[str]) -> dict[str, str]:
    """Where paths lead that have links in them. Of a pattern the folder that it begins in."""
    found: dict[str, str] = {}
    for path in list(dict.fromkeys(paths))[:_MAX_RESOLVED]:
        root = glob_root(path) if has_glob(path) else path
        try:
            real = os.path.realpath(root)
        except (OSError, ValueError):
            continue
        if real != root:
            found[path] = real + path[len(root) :]
    return found


def _is_about(ask: _Question, call: facts.SignalHeard) -> bool:
    """Whether a question was about this call: it names it, or it is the same tool with the same arguments."""
    if ask.key == call.call or f'"{call.call}"' in ask.ends:
        return True
    return ask.tool == call.tool and ask.digest == _digest(call.data_json)


def _digest(*texts: str) -> bytes:
    return sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()


def _told(verdict: Verdict) -> str:
    """What the agent hears of a refusal by a rule."""
    return f"{BY_RULE} ({verdict.rule}): {verdict.why}"


def _judged(
    run: str,
    verdict: Verdict,
    *,
    key: str = "",
    call: str = "",
    title: str = "",
    tool: str = "",
    data: str = "",
    after: bool = False,
) -> GuardrailJudged:
    return GuardrailJudged(
        run=run, key=key, call=call, verdict=verdict.verdict, rule=verdict.rule, after=after,
        title=title, tool=tool, data_json=data, why=verdict.why,
    )  # fmt: skip
