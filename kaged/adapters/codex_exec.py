"""Codex without its server: `codex exec --json`, a turn a process, for a Codex whose app-server is not to be had. Pure.

    thread.started -> turn.started -> item.started, item.completed ... -> turn.completed or turn.failed -> exit

It takes its words as an argument, asks nobody (its sandbox says what it may do), cannot be spoken to or interrupted,
and tells what it used at the end of its turn only. A run that goes on with a thread is told the thread's totals; what
was heard of before is taken off. Not here: a thread that Codex does not know any more, for that is said on standard
error only: the run fails.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.wire.failures import by_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.hearing import MAX_LINE_BYTES, Hearing
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure


class CodexExecAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "codex-exec"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "null"  # it reads an open pipe to its end, which never comes
    default_command: ClassVar[tuple[str, ...]] = ("codex", "exec")
    measures: ClassVar[frozenset[Measure]] = frozenset({"tokens"})  # a run is a turn

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The spec's command, then JSON, the thread to go on with, and the words."""
        more = [] if "--json" in task.command else ["--json"]
        more += ["resume", task.session] if task.session else []
        more += ["--", task.words] if task.words else []
        return Launch(argv=(*task.command, *more))

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return _Hearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """Nothing: it never asked."""
        return b""


class _Hearing(Hearing):
    """One call of `feed`."""

    def understand(self, message: Line) -> bool:
        kind = message.get("type")
        understand = _TYPES.get(kind) if isinstance(kind, str) else None
        return understand is not None and understand(self, message)

    def kind_of(self, message: Line) -> str:
        item = message.get("item")
        of_item = fields.word(item, "type") if isinstance(item, dict) else ""
        return clip_word("/".join(filter(None, (fields.word(message, "type"), of_item))))

    def thread_started(self, message: Line) -> bool:
        """thread.started {thread_id}"""
        self.session(fields.word(message, "thread_id"))
        return True

    def turn_started(self, message: Line) -> bool:
        """turn.started"""
        self.turn_begins()
        return True

    def turn_completed(self, message: Line) -> bool:
        """turn.completed {usage}: of the whole thread, earlier runs too"""
        usage = message.get("usage")
        if isinstance(usage, dict):
            before = (self.task.input_tokens, self.task.output_tokens) if self.task.session else (0, 0)
            read, written = fields.count(usage, "input_tokens"), fields.count(usage, "output_tokens")
            self.used(input_tokens=max(0, read - before[0]), output_tokens=max(0, written - before[1]))
        self.turn_ends("ok")
        self.turn_over("ok")
        return True

    def turn_failed(self, message: Line) -> bool:
        """turn.failed {error: {message}}"""
        error = message.get("error")
        said = fields.text(error, "message") if isinstance(error, dict) else ""
        self.turn_ends("error", said, fields.data(message, "error"), by_text(said))
        self.turn_over("error")
        return True

    def failed(self, message: Line) -> bool:
        """error {message}: it tries again, or its turn fails for this"""
        said = fields.text(message, "message")
        self.hear("error", text=said, outcome="retrying" if said.startswith("Reconnecting") else "")
        return True

    # --- items ---------------------------------------------------------------------------------------------------

    def item_started(self, message: Line) -> bool:
        """item.started {item}"""
        item = message.get("item")
        if not isinstance(item, dict):
            return False
        kind = item.get("type")
        if kind == "todo_list":
            self._plan(item)
        elif kind not in _NO_CALLS:
            call, given = fields.word(item, "id"), {name: item[name] for name in _GIVEN if item.get(name) is not None}
            self.hear("tool.started", call=call, tool=_tool(item), data_json=clip_json(given))
        return True

    def item_updated(self, message: Line) -> bool:
        """item.updated {item}: of a plan the whole plan; of a call nothing that its end does not tell"""
        item = message.get("item")
        if isinstance(item, dict) and item.get("type") == "todo_list":
            self._plan(item)
        return isinstance(item, dict)

    def item_completed(self, message: Line) -> bool:
        """item.completed {item}"""
        item = message.get("item")
        if not isinstance(item, dict):
            return False
        match item.get("type"):
            case "agent_message":
                self.hear("message", text=fields.text(item, "text"))
            case "reasoning":
                self.hear("thinking", text=fields.text(item, "text"))
            case "todo_list":
                self._plan(item)
            case "error":  # mere warnings as well: an error that matters is the end of the turn
                self.hear("log", text=fields.text(item, "message"))
            case _:
                self._call_ended(item)
        return True

    def _plan(self, item: Line) -> None:
        steps: list[dict[str, Json]] = [
            {"text": fields.text(each, "text"), "done": each.get("completed") is True}
            for each in fields.items(item, "items")
            if isinstance(each, dict)
        ]
        self.planned(steps)

    def _call_ended(self, item: Line) -> None:
        call, status = fields.word(item, "id"), fields.word(item, "status")
        code = item.get("exit_code")
        bad = status == "failed" or bool(item.get("error")) or (isinstance(code, int) and code != 0)
        about = {name: item[name] for name in _TOLD if item.get(name) is not None}
        self.hear(
            "tool.finished",
            call=call,
            tool=_tool(item),
            outcome="denied" if status == "declined" else "error" if bad else "ok",
            text=clip_text(fields.as_text(item.get("aggregated_output"))),
            data_json=clip_json(about) if about else "",
        )
        for change in fields.items(item, "changes") if status == "completed" else ():
            if isinstance(change, dict):
                path = fields.word(change, "path")
                edit = {"path": change.get("path"), "change": fields.word(change, "kind")}
                self.hear("file.edited", text=path, call=call, data_json=clip_json(edit))


def _tool(item: Line) -> str:
    match item.get("type"):
        case "command_execution":
            return "shell"
        case "file_change":
            return "edit"
        case "mcp_tool_call":
            return clip_word("/".join(filter(None, (fields.word(item, "server"), fields.word(item, "tool")))))
        case _:
            return fields.word(item, "type")


_NO_CALLS: Final = frozenset({"agent_message", "reasoning", "error"})
_GIVEN: Final = ("command", "changes", "arguments", "query", "prompt")
_TOLD: Final = ("command", "exit_code", "arguments", "result", "error", "query")
_TYPES: Final[Mapping[str, Callable[[_Hearing, Line], bool]]] = MappingProxyType(
    {
        "thread.started": _Hearing.thread_started,
        "turn.started": _Hearing.turn_started,
        "turn.completed": _Hearing.turn_completed,
        "turn.failed": _Hearing.turn_failed,
        "error": _Hearing.failed,
        "item.started": _Hearing.item_started,
        "item.updated": _Hearing.item_updated,
        "item.completed": _Hearing.item_completed,
    }
)
