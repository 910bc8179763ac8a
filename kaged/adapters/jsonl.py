"""Any script that prints one JSON object a line: the protocol of docs/jsonl-protocol.md, version 1. Pure.

Promises: every line becomes a few signals at most, in order; any chunking of the same bytes gives the same
signals, the same state and the same answers; nothing that an agent prints raises. What is no JSON object is heard
as `garbled`, an object of a type that is not known here as `unknown` with its line, so a newer agent loses nothing
under an older Kage. A question that cannot be given back (it has no usable id) is denied on the spot: an agent that
waits for an answer must get one. A line of more than 1 MiB is heard as garbled pieces.

Turns are counted anew in each run: the script is told nothing of those before. Which questions are open is not
remembered, on purpose: answers do not pass through here, so it could only be wrong.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.hearing import Hearing, as_line
from kaged.adapters.wire.memory import Memory
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, FailureWord, Fed, Heard, SignalKind
from kaged.ports import Measure

VERSION: Final = 1
MAX_LINE_BYTES: Final = 1 << 20
_NO_ID: Final = f"Kage needs an id that is a text of 1 to {fields.MAX_KEY_BYTES} bytes"


class JsonlAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "jsonl"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens", "cost"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is; the goal is in its environment, and so is the session that it told of before."""
        return Launch(argv=task.command, environment={"KAGE_SESSION": task.session} if task.session else {})

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines; at the end also the one that has no newline."""
        return _Hearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """One `approval.answer` line."""
        return as_line({"type": "approval.answer", "id": ask.key, "outcome": outcome, "note": note})

    @staticmethod
    def message(text: str, *, session: str = "", number: int = 0) -> bytes:
        """One `message` line: what a user says to the agent."""
        return as_line({"type": "message", "text": text})

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """One `interrupt` line; scripts that do not know it go on."""
        return as_line({"type": "interrupt"}) if expected or Memory(state).flag("in_turn") else b""


class _Hearing(Hearing):
    """One call of `feed`."""

    earlier_turns_count = False

    def understand(self, message: Line) -> bool:
        kind = message.get("type")
        understand = _TYPES.get(kind) if isinstance(kind, str) else None
        if understand is not None:
            understand(self, message)
        return understand is not None

    def begun(self, line: Line) -> None:
        """session {version, id}"""
        version = line.get("version", VERSION)
        self.hear("session.started", native_session=fields.word(line, "id"))
        if version != VERSION:
            spelling = clip_json(version, 64)
            self.hear("error", text=f"the agent speaks jsonl {spelling}, Kage speaks {VERSION}")

    def turn_started(self, line: Line) -> None:
        """turn.started {text}"""
        self.turn_begins(text=fields.text(line, "text"))

    def turn_ended(self, line: Line) -> None:
        """turn.ended {outcome, error, failure}"""
        error, word = fields.text(line, "error"), fields.word(line, "failure")
        outcome = fields.word(line, "outcome") or ("error" if error or word else "ok")
        self.turn_ends(outcome, error, failure=_FAILURES.get(word, "other") if word else "")

    def plan(self, line: Line) -> None:
        """plan {items: [{text, done}]}"""
        steps: list[dict[str, Json]] = []
        for item in fields.items(line, "items"):
            text = fields.text(item, "text") if isinstance(item, dict) else fields.as_text(item)
            done = isinstance(item, dict) and item.get("done") is True
            steps.append({"text": text, "done": done})
        self.planned(steps)

    def tool_started(self, line: Line) -> None:
        """tool.started {id, tool, input}"""
        call, tool = fields.word(line, "id"), fields.word(line, "tool")
        self.hear("tool.started", call=call, tool=tool, data_json=fields.data(line, "input"))

    def tool_finished(self, line: Line) -> None:
        """tool.finished {id, tool, outcome, output}"""
        plain = isinstance(line.get("output"), str)
        self.hear(
            "tool.finished",
            call=fields.word(line, "id"),
            tool=fields.word(line, "tool"),
            outcome=fields.word(line, "outcome") or "ok",
            text=fields.text(line, "output") if plain else "",
            data_json="" if plain else fields.data(line, "output"),
        )

    def usage(self, line: Line) -> None:
        """usage {input_tokens, output_tokens, cost_usd}: what was used since the last one"""
        self.signals.append(
            Heard(
                kind="usage",
                turn=self.turn,
                input_tokens=fields.count(line, "input_tokens"),
                output_tokens=fields.count(line, "output_tokens"),
                cost_microusd=fields.microusd(line, "cost_usd"),
            )
        )

    def rate_limit(self, line: Line) -> None:
        """rate_limit {outcome, text, resets_at}: how much of an account's allowance is left"""
        outcome, text = fields.word(line, "outcome"), fields.text(line, "text")
        self.hear("rate_limit", outcome=outcome, text=text, resets_us=fields.moment_us(line, "resets_at"))

    def approval_request(self, line: Line) -> None:
        """approval.request {id, title, tool, input, why, timeout_s}"""
        ask = Ask(
            key=fields.key(line, "id"),
            kind="action",
            title=fields.text(line, "title"),
            tool=fields.word(line, "tool"),
            data_json=fields.data(line, "input"),
            why=fields.text(line, "why"),
            timeout_s=fields.seconds(line, "timeout_s"),
        )
        self._asked(ask, line)

    def question(self, line: Line) -> None:
        """question {id, text, choices, why, timeout_s}"""
        choices: list[Json] = [fields.as_text(choice) for choice in fields.items(line, "choices")]
        ask = Ask(
            key=fields.key(line, "id"),
            kind="question",
            title=fields.text(line, "text"),
            data_json=clip_json({"choices": choices}) if choices else "",
            why=fields.text(line, "why"),
            timeout_s=fields.seconds(line, "timeout_s"),
        )
        self._asked(ask, line)

    def _asked(self, ask: Ask, asked: Line) -> None:
        if ask.key:
            self.ask(ask)
            return
        shown = asked.get("id")
        shown = shown if isinstance(shown, (bool, int, float)) else None
        self.sends.append(as_line({"type": "approval.answer", "id": shown, "outcome": "denied", "note": _NO_ID}))
        what = clip_text(ask.title or ask.tool or ask.kind, 1 << 10)
        self.hear("error", text=f"denied at once: {what}. {_NO_ID}")

    def withdraw(self, line: Line) -> None:
        """approval.withdraw {id}"""
        if not (key := fields.key(line, "id")):
            raise ValueError(_NO_ID)
        self.unask(key)

    def say(self, line: Line, kind: SignalKind) -> None:
        """For the types that carry a text and nothing else."""
        self.hear(kind, text=fields.text(line, "text"))


_FAILURES: Final[Mapping[str, FailureWord]] = MappingProxyType(
    {"auth": "auth", "rate_limit": "rate_limit", "context_exhausted": "context_exhausted"}
)
_TYPES: Final[Mapping[str, Callable[[_Hearing, Line], None]]] = MappingProxyType(
    {
        "session": _Hearing.begun,
        "turn.started": _Hearing.turn_started,
        "turn.ended": _Hearing.turn_ended,
        "message": lambda hearing, line: hearing.say(line, "message"),
        "thinking": lambda hearing, line: hearing.say(line, "thinking"),
        "plan": _Hearing.plan,
        "tool.started": _Hearing.tool_started,
        "tool.finished": _Hearing.tool_finished,
        "usage": _Hearing.usage,
        "rate_limit": _Hearing.rate_limit,
        "progress": lambda hearing, line: hearing.say(line, "progress"),
        "approval.request": _Hearing.approval_request,
        "question": _Hearing.question,
        "approval.withdraw": _Hearing.withdraw,
        "error": lambda hearing, line: hearing.say(line, "error"),
        "log": lambda hearing, line: hearing.say(line, "log"),
    }
)
