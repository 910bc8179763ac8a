"""What an agent does, told for a person: one event in, the lines that it is worth out. Pure but for what it remembers.

    14:02:11  turn    2 of 20
    14:02:13  says    I will look at the tests first.
    14:02:14  tool    Bash: make test
    14:02:17  failed  Bash: make test  3.2s  2 tests failed
    14:02:18  edit    src/a.py  +3 -1
    14:02:20  asks    Bash: git commit -am 'fix'
                      kagectl approval approve k3x9pq2m
    14:02:31  judged  turn 2/20: make test failed (exit 2)

A `Story` is told the events of one agent in their order, from its first one, so that totals and limits are right. Not
here: where events come from, and output as bytes.
"""

import shutil
import textwrap
from datetime import tzinfo
from typing import Final

from kagectl import loops
from kagectl.render import progress, words
from kagectl.render.changes import changes_in, loaded
from kagectl.render.gist import gist, short_path
from kagectl.render.paint import PLAIN, Paint, safe
from kagectl.render.table import cut
from kaged.api.v1 import agent_service_pb2, event_pb2, fact_pb2

_WORD: Final = 8
_LEAD: Final = 8 + 2 + _WORD
_WIDEST: Final = 120
_MAX_LINES: Final = 60  # of one message
_LONGEST: Final = 8192  # bytes of a line of output; a longer one is told in pieces
_COLOURS: Final = {
    "says": "bold", "tool": "cyan", "failed": "red", "denied": "red", "asks": "yellow", "judged": "blue",
    "paused": "yellow", "limit": "yellow", "error": "red", "edit": "green", "guard": "yellow",
    "turn": "bold", "end": "bold",
}  # fmt: skip
_GIVEN_UP: Final = {
    "errors": "too many failed turns in a row",
    "repeats": "it repeats itself",
    "no_progress": "nothing changes any more",
    "output_matches": "it said what ends the work",
}
_UNABLE: Final = {
    "auth": "it may not use its account",
    "context_exhausted": "its session has no room left, the next turn begins a new one",
}
_MOST: Final = {"iterations": "5", "tokens": "100k", "cost": "1usd", "time": "1h"}


class Story:
    """One agent's. `agent`: as it is known when the telling begins; its name and its loop's criteria are used."""

    def __init__(
        self,
        agent: agent_service_pb2.Agent,
        *,
        paint: Paint = PLAIN,
        width: int | None = None,
        zone: tzinfo | None = None,
        thinking: bool = False,
    ) -> None:
        self.at_rest = False
        self._agent = agent
        self._paint = paint
        self._width = max(40, min(width or shutil.get_terminal_size().columns, _WIDEST))
        self._zone = zone
        self._thinking = thinking
        self._turn = 0
        self._calls: dict[str, tuple[str, int]] = {}
        self._asked: dict[str, str] = {}
        self._plan = ""
        self._rests: dict[int, bytes] = {}
        self._tokens = 0
        self._cost = 0
        self._turn_began_us = 0
        loop = agent.spec.loop
        self._criteria = [loops.written(each) for each in loop.success]
        self._turns = loop.limits.iterations
        self._folder = agent.workspace.working_directory or agent.spec.working_directory

    def tell(self, event: event_pb2.Event) -> list[str]:
        """The lines of one event; none for what a person need not see."""
        fact = event.meta.fact
        match fact.WhichOneof("kind"):
            case "signal":
                return self._signal(event)
            case "goal_judged":
                return self._judged(event)
            case "goal_paused":
                return self._paused(event)
            case "goal_resumed":
                self._turns += fact.goal_resumed.add_iterations if self._turns else 0
                more = f", up to turn {self._turns}" if fact.goal_resumed.add_iterations else ""
                return self._lines(event, "resumed", f"goes on{more}", event.body.note)
            case "goal_pause_wanted":
                when = "the turn is interrupted" if fact.goal_pause_wanted.now else "at the end of its turn"
                return self._lines(event, "pause", f"a person wants it to pause: {when}", event.body.note)
            case "approval_requested":
                return self._asks(event)
            case "approval_answered":
                return self._answered(event)
            case "approval_withdrawn":
                what = self._asked.pop(fact.approval_withdrawn.approval, "")
                why = (
                    "its run ended" if fact.approval_withdrawn.cause == "run_ended" else "it does not want it any more"
                )
                return self._lines(event, "asks", f"withdrawn ({why}): {what}", colour="dim") if what else []
            case "guardrail_judged":
                return self._guard(event)
            case "output_chunk":
                return self._output(event)
            case _:
                return self._life(event)

    # --- its life ------------------------------------------------------------------------------------------------

    def _life(self, event: event_pb2.Event) -> list[str]:
        fact = event.meta.fact
        match fact.WhichOneof("kind"):
            case "run_executed":
                self.at_rest = False
                return self._lines(event, "run", f"process {fact.run_executed.pid} runs", colour="dim")
            case "run_wanted" if fact.run_wanted.attempt > 1 and fact.run_wanted.cause != "turn":
                self.at_rest = False
                return self._lines(event, "start", f"attempt {fact.run_wanted.attempt} ({safe(fact.run_wanted.cause)})")
            case "run_ended":
                left = self._flushed(event)
                return left + self._lines(
                    event, "run", _how(fact.run_ended), colour="dim" if _well(fact.run_ended) else "red"
                )
            case "agent_restart_scheduled":
                wait_us = fact.agent_restart_scheduled.delay_us
                return self._lines(event, "waits", f"starts again in {words.micros(wait_us)}", colour="yellow")
            case "agent_stop_wanted" if fact.agent_stop_wanted.cause == "turn":
                return self._lines(event, "turn", "what comes next needs a new process")
            case "workspace_restored":
                done = fact.workspace_restored
                when = f", after turn {done.turn}" if done.turn else ""
                return self._lines(event, "edit", f"its files are those of checkpoint {done.number} again{when}")
            case "agent_stop_wanted" if fact.agent_stop_wanted.cause not in ("goal",):
                limit = f" ({safe(fact.agent_stop_wanted.limit)})" if fact.agent_stop_wanted.limit else ""
                return self._lines(
                    event, "stop", f"is to end: {safe(fact.agent_stop_wanted.cause)}{limit}", event.body.note
                )
            case "agent_ended":
                self.at_rest = True
                return self._ended(event)
            case "agent_stopped":
                self.at_rest = True
                return self._lines(event, "end", f"at rest ({safe(fact.agent_stopped.reason)})")
            case "workspace_failed":
                return self._lines(event, "error", "no workspace", event.body.note)
            case "workspace_overlapped":
                return self._lines(event, "guard", "changes files that another live agent has changed", event.body.note)
            case "output_held":
                return self._lines(event, "held", "too much of its output waits to be recorded", colour="yellow")
            case _:
                return []

    def _ended(self, event: event_pb2.Event) -> list[str]:
        ended = event.meta.fact.agent_ended
        more = safe(ended.reason.replace("_", " "))
        if ended.reason == "exit" and ended.exit_code > 0:
            more = f"exit {ended.exit_code}"
        elif ended.reason == "signal":
            more = f"signal {ended.signal}"
        elif ended.reason == "limit":
            more = f"limit {safe(ended.limit)}"
        why = "" if ended.outcome == "succeeded" and ended.reason == "exit" else f" ({more})"
        colour = {"succeeded": "green", "failed": "red"}.get(ended.outcome, "bold")
        text = f"{safe(ended.outcome)}{why}{self._used(' · ')}"
        return self._lines(event, "end", text, event.body.note, colour=colour)

    def _used(self, before: str) -> str:
        parts = [f"{progress.count(self._tokens)} tokens"] if self._tokens else []
        if self._cost:
            parts.append(progress.money(self._cost))
        return before + " · ".join(parts) if parts else ""

    def _output(self, event: event_pb2.Event) -> list[str]:
        """Of programs that no adapter reads, if the one who asks for events asks for these."""
        channel = event.meta.fact.output_chunk.channel
        *whole, rest = (self._rests.get(channel, b"") + event.body.output).split(b"\n")
        if len(rest) > _LONGEST:
            whole, rest = [*whole, rest], b""
        self._rests[channel] = rest
        return [line for each in whole for line in self._printed(event, channel, each)]

    def _flushed(self, event: event_pb2.Event) -> list[str]:
        rests, self._rests = self._rests, {}
        return [line for channel, rest in rests.items() if rest for line in self._printed(event, channel, rest)]

    def _printed(self, event: event_pb2.Event, channel: int, text: bytes) -> list[str]:
        word = "err" if channel == fact_pb2.OUTPUT_CHANNEL_STDERR else "out"
        return self._lines(event, word, "", text.decode(errors="replace") or " ")

    # --- what it says and does -----------------------------------------------------------------------------------

    def _signal(self, event: event_pb2.Event) -> list[str]:
        fact, said = event.meta.fact.signal, event.body.signal
        match event.meta.type.removeprefix("signal."):
            case "turn.started":
                self._turn = max(self._turn + 1, fact.turn)
                self._turn_began_us = event.recorded_us
                return self._lines(event, "turn", self._turn_number(fact.turn))
            case "turn.ended":
                return self._turn_ended(event)
            case "message":
                return self._lines(event, "says", "", said.text, who=fact.parent)
            case "thinking" if self._thinking:
                return self._lines(event, "thinks", "", said.text, colour="dim")
            case "plan":
                return self._planned(event)
            case "tool.requested" | "tool.started":
                return self._called(event)
            case "tool.finished":
                return self._finished(event)
            case "file.edited":
                return self._edited(event)
            case "usage":
                self._tokens += fact.input_tokens + fact.output_tokens
                self._cost += fact.cost_microusd
                return []
            case "rate_limit" if fact.outcome not in ("", "allowed", "ok"):
                until = f", until {words.clock(fact.resets_us, self._zone, parts='%H:%M:%S')}" if fact.resets_us else ""
                return self._lines(event, "limit", f"its account's limit: {safe(fact.outcome)}{until}", said.text)
            case "error":
                return self._lines(event, "error", safe(fact.outcome), said.text)
            case "session.lost":
                return self._lines(event, "session", "its session is lost", said.text, colour="yellow")
            case "subagent":
                return self._lines(event, "helper", safe(fact.outcome), said.text, colour="dim")
            case "progress":
                return self._lines(event, "notes", "", said.text, colour="dim")
            case _:
                return []

    def _turn_number(self, number: int) -> str:
        return f"{number} of {self._turns}" if self._turns else str(number)

    def _turn_ended(self, event: event_pb2.Event) -> list[str]:
        fact = event.meta.fact.signal
        self._tokens += fact.input_tokens + fact.output_tokens
        self._cost += fact.cost_microusd
        took = f" · {words.span((event.recorded_us - self._turn_began_us) / 1e6)}" if self._turn_began_us else ""
        outcome = "" if fact.outcome in ("", "ok") else f": {safe(fact.outcome)}"
        text = f"{self._turn_number(fact.turn)} over{outcome}{took}{self._used(' · so far ')}"
        failed = fact.outcome not in ("", "ok", "cancelled")
        return self._lines(
            event, "turn", text, event.body.signal.text if failed else "", colour="red" if failed else "dim"
        )

    def _planned(self, event: event_pb2.Event) -> list[str]:
        fact, text = event.meta.fact.signal, event.body.signal.text
        if text == self._plan:
            return []
        before, self._plan = set(self._plan.splitlines()), text
        steps = text.splitlines()
        ticked = [line for line in steps if line.startswith("[x]") and line not in before] if before else steps
        head = f"{fact.plan_done} of {fact.plan_items} done" if fact.plan_items else ""
        return self._lines(event, "plan", head, "\n".join(ticked))

    def _called(self, event: event_pb2.Event) -> list[str]:
        fact, said = event.meta.fact.signal, event.body.signal
        about = gist(said.text, loaded(said.data_json), folder=self._folder)
        text = ": ".join(part for part in (safe(said.tool), about) if part)
        known = self._calls.get(fact.call)
        if known is not None and (not about or known[0] == text):
            return []
        self._calls[fact.call] = (text, known[1] if known else event.recorded_us)
        return self._lines(event, "tool", text, who=fact.parent)

    def _finished(self, event: event_pb2.Event) -> list[str]:
        fact, said = event.meta.fact.signal, event.body.signal
        text, began_us = self._calls.pop(fact.call, (safe(said.tool), 0))
        took = f"  {words.micros(event.recorded_us - began_us)}" if began_us else ""
        good = fact.outcome in ("", "ok")
        word = "done" if good else "denied" if fact.outcome == "denied" else "failed"
        why = "" if good else "  " + _last_line(said.text)
        return self._lines(event, word, f"{text}{took}{why}".rstrip(), colour="dim" if good else "red", who=fact.parent)

    def _edited(self, event: event_pb2.Event) -> list[str]:
        said = event.body.signal
        changes = changes_in(loaded(said.data_json))
        told = [f"{safe(short_path(change.path, self._folder))}  {change.totals()}" for change in changes]
        return self._lines(event, "edit", ", ".join(told) or safe(short_path(said.text, self._folder)))

    # --- goals, questions, rules ---------------------------------------------------------------------------------

    def _judged(self, event: event_pb2.Event) -> list[str]:
        judged = event.meta.fact.goal_judged
        head = f"turn {judged.iteration}/{self._turns}" if self._turns else f"turn {judged.iteration}"
        checks = "; ".join(self._checked(number, check) for number, check in enumerate(judged.checks))
        if judged.verdict == "failed":
            reason = _GIVEN_UP.get(judged.why, safe(judged.why.replace("_", " ")))
            said = f"given up: {reason}"
        elif judged.verdict == "succeeded":
            said = f"the goal is reached{f' ({checks})' if checks else ''}"
        else:
            failed = _UNABLE.get(judged.why) or ("the turn failed" if judged.turn_failed else "")
            said = failed or checks or safe(judged.why.replace("_", " "))
        files = judged.files_changed
        more = (
            f" · {files} file{'s' if files != 1 else ''}, +{judged.lines_added} -{judged.lines_removed}"
            if files
            else ""
        )
        colour = {"succeeded": "green", "failed": "red"}.get(judged.verdict, "blue")
        return self._lines(event, "judged", f"{head}: {said}{more}", colour=colour)

    def _checked(self, number: int, check: fact_pb2.CheckResult) -> str:
        name = self._criteria[number] if number < len(self._criteria) else f"check {number + 1}"
        name = safe(name.removeprefix("cmd: "))
        if check.passed:
            return f"{name} holds"
        if check.timed_out:
            return f"{name} took too long"
        return f"{name} failed (exit {check.exit_code})" if check.exit_code >= 0 else f"{name} does not hold"

    def _paused(self, event: event_pb2.Event) -> list[str]:
        paused = event.meta.fact.goal_paused
        name = safe(self._agent.name)
        if paused.cause == "limit":
            said = f"its limit of {safe(paused.limit)} is used up"
            hint = f"kagectl agent resume {name} --add-{safe(paused.limit)} {_MOST.get(paused.limit, '1')}"
        elif paused.until_us:
            until = words.clock(paused.until_us, self._zone, parts="%H:%M:%S")
            return self._lines(event, "paused", f"waits for the limit of its account, until {until}")
        elif paused.failure == "auth":
            said = "it may not use its account: sign in, or mend its key"
            hint = f"kagectl agent resume {name}"
        else:
            said = {"user": "by a person", "guard": "by a guardrail"}.get(paused.cause, safe(paused.cause))
            hint = f"kagectl agent resume {name}"
        return self._lines(event, "paused", said, hint)

    def _asks(self, event: event_pb2.Event) -> list[str]:
        asked, said = event.meta.fact.approval_requested, event.body.question
        title = safe(said.title.splitlines()[0] if said.title else said.tool)
        self._asked[asked.approval] = title
        if asked.kind == "question":
            choices = loaded(said.data_json).get("choices")
            listed = [str(each) for each in choices] if isinstance(choices, list) else []
            more = [f"{number}. {each}" for number, each in enumerate(listed, 1)]
            more.append(f"kagectl approval answer {asked.approval} {'NUMBER' if listed else 'TEXT'}")
            text = safe(said.title) if "\n" not in said.title else title
            return self._lines(event, "asks", text, "\n".join(more))
        rule = f"  [{safe(asked.rule)}]" if asked.rule else ""
        left = ""
        if asked.deadline_us:
            left = f", within {words.span((asked.deadline_us - event.recorded_us) / 1e6)}"
        changed = [
            f"{safe(short_path(c.path, self._folder))}  {c.totals()}" for c in changes_in(loaded(said.data_json))
        ]
        waits = f"waits for you{left}: kagectl approval approve {asked.approval} (or deny, show)"
        return self._lines(event, "asks", f"{title}{rule}", "\n".join([*changed, waits]))

    def _answered(self, event: event_pb2.Event) -> list[str]:
        answered = event.meta.fact.approval_answered
        what = self._asked.pop(answered.approval, answered.approval)
        colour = {"approved": "green", "denied": "red"}.get(answered.outcome, "yellow")
        said = {"expired": "expired: nobody answered in time"}.get(answered.outcome, safe(answered.outcome))
        note = "" if answered.outcome == "expired" else event.body.note
        return self._lines(event, "answer", f"{said}: {what}", note, colour=colour)

    def _guard(self, event: event_pb2.Event) -> list[str]:
        judged, said = event.meta.fact.guardrail_judged, event.body.question
        what = safe((said.title or said.tool).splitlines()[0] if said.title or said.tool else "")
        verb = {"deny": "refused", "allow": "allowed", "ask": "should have been asked about"}.get(judged.verdict, "")
        verb = f"{verb}, and has happened" if judged.after and judged.verdict != "allow" else verb
        colour = "dim" if judged.verdict == "allow" else "red"
        return self._lines(event, "guard", f"{verb} by {safe(judged.rule)}: {what}", said.why, colour=colour)

    # --- lines ---------------------------------------------------------------------------------------------------

    def _lines(
        self, event: event_pb2.Event, word: str, head: str, body: str = "", *, colour: str = "", who: str = ""
    ) -> list[str]:
        """`head` is safe already and cut at the width; `body` is what somebody wrote: made safe and wrapped."""
        room = self._width - _LEAD
        texts = [f"(helper) {head}" if who and head else head] if head else []
        for line in body.strip().splitlines():
            texts += textwrap.wrap(safe(line.replace("\t", "    ")), room, replace_whitespace=False) or [""]
        if len(texts) > _MAX_LINES:
            texts[_MAX_LINES:] = [f"… {len(texts) - _MAX_LINES} more lines"]
        if not texts:
            return []
        stamp = self._paint(words.clock(event.recorded_us, self._zone, parts="%H:%M:%S"), "dim")
        shade = colour or _COLOURS.get(word, "")
        first = texts[0] if not head else cut(texts[0], max(room, 20)) if word in ("tool", "done") else texts[0]
        plain_text = word == "says"
        lead = self._paint(f"{word:<{_WORD}}", shade)
        lines = [f"{stamp}  {lead}{first if plain_text else self._paint(first, shade if shade != 'bold' else '')}"]
        lines += [" " * _LEAD + text for text in texts[1:]]
        return [line.rstrip() for line in lines]


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return cut(safe(lines[-1].strip()), 120) if lines else ""


def _well(ended: fact_pb2.RunEnded) -> bool:
    return ended.kind == "exited" and not ended.signal and ended.exit_code == 0


def _how(ended: fact_pb2.RunEnded) -> str:
    if ended.kind != "exited":
        said = {"exec_failed": "its program could not be started", "lost": "its process is lost"}
        return said.get(ended.kind, safe(ended.kind.replace("_", " ")))
    how = f"signal {ended.signal}" if ended.signal else f"exit {ended.exit_code}"
    by = {"wall_time": ", its time was up", "memory": ", out of memory", "unsupervised": ", unsupervised for too long"}
    return f"process ended ({how}{by.get(ended.stopped_by, '')})"
