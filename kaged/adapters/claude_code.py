"""Claude Code, driven over standard input and output: `claude -p` with stream-json both ways. Pure.

Promises: questions of the control protocol (`can_use_tool`) become approvals and their answers are what it waits for;
every other request of its is refused at once, because it waits for those too; usage and cost are told once, whatever
mixture of messages and totals they come in. Lines of a kind that is not known are signals of their own.

    init -> turn.started ... assistant, user (tool results), can_use_tool ... result -> usage, turn.ended

With a goal the run is over when its turn ends, unless somebody interrupted the turn: then it waits for new words.
What we say to it is in `claude_words.py`. Not here: hooks, SDK tool servers, and file checkpoints of its own.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from kaged.adapters import claude_words as words
from kaged.adapters import fields
from kaged.adapters.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.fields import Line
from kaged.adapters.json_lines import MAX_LINE_BYTES, Hearing, Memory
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure

_LOST: Final = "No conversation found"
_STOPPED: Final = frozenset({"aborted_tools", "aborted_streaming"})


class ClaudeCodeAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "claude-code"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ("claude",)
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens", "cost"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The spec's command with what the protocol needs behind it; its own flags win."""
        opening = words.hello() + (words.prompt(task.words) if task.words else b"")
        return Launch(argv=words.arguments(task), environment=words.ENVIRONMENT, opening=opening)

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return _Hearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The control response that it waits for."""
        return words.answer(ask, outcome, note)

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt; one that comes during a turn waits for its end."""
        return words.prompt(text)

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """A control request; it takes back what it asked."""
        return words.interrupt(number) if Memory(state).flag("in_turn") else b""


class _Hearing(Hearing):
    """One call of `feed`."""

    def understand(self, message: Line) -> bool:
        kind = message.get("type")
        understand = _TYPES.get(kind) if isinstance(kind, str) else None
        return understand is not None and understand(self, message)

    def kind_of(self, message: Line) -> str:
        return clip_word("/".join(filter(None, (fields.word(message, "type"), fields.word(message, "subtype")))))

    # --- the session -------------------------------------------------------------------------------------------

    def system(self, message: Line) -> bool:
        """init, and news about what it does beside the conversation"""
        subtype = message.get("subtype")
        understand = _SYSTEM.get(subtype) if isinstance(subtype, str) else None
        if understand is not None:
            understand(self, message)
        return understand is not None

    def init(self, message: Line) -> None:
        """Comes at the beginning of each turn."""
        about: dict[str, Json] = {
            name: message.get(name)
            for name in ("model", "claude_code_version", "permissionMode", "cwd", "tools", "mcp_servers")
            if name in message
        }
        self.session(fields.word(message, "session_id"), clip_json(about))
        self.turn_begins()

    def retry(self, message: Line) -> None:
        """The model did not answer; it tries again."""
        status = fields.word(message, "error_status")
        said = (
            f"attempt {fields.word(message, 'attempt')} of {fields.word(message, 'max_retries')} failed ({status}), "
            f"next in {fields.word(message, 'retry_delay_ms')} ms"
        )
        self.hear("error", outcome="retrying", text=said, data_json=clip_json(dict(message)))

    def compacted(self, message: Line) -> None:
        """The context was summarised."""
        self.hear("progress", text="the conversation was compacted", data_json=fields.data(message, "compact_metadata"))

    def subagent(self, message: Line) -> None:
        """A subagent or a command in the background."""
        subtype = fields.word(message, "subtype")
        outcome = fields.word(message, "status") or subtype.removeprefix("task_")
        said = fields.text(message, "summary") or fields.text(message, "description")
        call = fields.word(message, "tool_use_id")
        self.hear("subagent", call=call, outcome=outcome, text=said, data_json=clip_json(dict(message)))

    def nothing(self, message: Line) -> None:
        """Said in other words elsewhere; the raw line is in the output."""

    def rate_limit(self, message: Line) -> bool:
        """How much of the account's allowance is left."""
        info = message.get("rate_limit_info")
        if not isinstance(info, dict):
            return False
        status, limit = fields.word(info, "status"), fields.word(info, "rateLimitType")
        resets_us = fields.count(info, "resetsAt", 2**40) * 1_000_000
        text = " ".join(filter(None, (limit, status)))
        self.hear("rate_limit", outcome=status, text=text, data_json=clip_json(info), resets_us=resets_us)
        return True

    # --- the conversation --------------------------------------------------------------------------------------

    def assistant(self, message: Line) -> bool:
        """One block of what the model said."""
        said, parent = message.get("message"), fields.word(message, "parent_tool_use_id")
        if not isinstance(said, dict) or not isinstance(said.get("content"), list):
            return False
        for block in fields.items(said, "content"):
            if not isinstance(block, dict):
                return False
            self._said(block, parent)
        self._call_used(said, parent)
        return True

    def _said(self, block: Line, parent: str) -> None:
        match block.get("type"):
            case "text":
                self.hear("message", text=fields.text(block, "text"), parent=parent)
            case "thinking":
                self.hear("thinking", text=fields.text(block, "thinking"), parent=parent)
            case "redacted_thinking":
                self.hear("thinking", parent=parent)
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                call, tool = fields.word(block, "id"), fields.word(block, "name")
                self.memory.add("calls", call, tool)
                self.hear("tool.requested", call=call, tool=tool, data_json=fields.data(block, "input"), parent=parent)
                self._plan(tool, block.get("input"), parent)
            case _:
                self.hear("unknown", text=fields.word(block, "type"), data_json=clip_json(dict(block)), parent=parent)

    def _plan(self, tool: str, given: Json, parent: str) -> None:
        if tool != "TodoWrite" or not isinstance(given, dict):
            return
        steps: list[Json] = []
        lines: list[str] = []
        for item in fields.items(given, "todos"):
            if isinstance(item, dict):
                text, done = fields.text(item, "content"), item.get("status") == "completed"
                steps.append({"text": text, "done": done, "status": fields.word(item, "status")})
                lines.append(f"[{'x' if done else ' '}] {text}")
        self.hear("plan", text=clip_text("\n".join(lines)), data_json=clip_json(steps), parent=parent)

    def user(self, message: Line) -> bool:
        """Results of tools, and what was said in a user's name."""
        said, parent = message.get("message"), fields.word(message, "parent_tool_use_id")
        content = said.get("content") if isinstance(said, dict) else None
        blocks: Json = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return False
        refused = {
            meta.get("id")
            for meta in fields.items(message, "tool_result_meta")
            if isinstance(meta, dict) and _at(meta, "permission_decision", "decision") == "reject"
        }
        for block in blocks:
            assert isinstance(block, dict)
            if block.get("type") == "tool_result":
                self._result_of_tool(block, parent, refused=block.get("tool_use_id") in refused)
            else:
                self.hear("log", text=fields.text(block, "text"), data_json=_other_than_text(block), parent=parent)
        self._edit(message.get("tool_use_result"), blocks, parent)
        return True

    def _result_of_tool(self, block: Line, parent: str, *, refused: bool) -> None:
        call = fields.word(block, "tool_use_id")
        content = block.get("content")
        plain = _plain(content)
        self.hear(
            "tool.finished",
            call=call,
            tool=clip_word(self.memory.drop("calls", call)),
            outcome="denied" if refused else "error" if block.get("is_error") is True else "ok",
            text="" if plain is None else clip_text(plain),
            data_json=clip_json(content) if plain is None else "",
            parent=parent,
        )

    def _edit(self, result: Json, blocks: list[Json], parent: str) -> None:
        """A result with a patch is a file that changed."""
        if not isinstance(result, dict) or not isinstance(result.get("structuredPatch"), list):
            return
        path = fields.word(result, "filePath")
        first = blocks[0] if blocks else None
        call = fields.word(first, "tool_use_id") if isinstance(first, dict) else ""
        made = result.get("type") == "create"
        diff = clip_text("\n".join(_created(result) if made else _patched(result)))
        about = clip_json({"path": path, "change": "create" if made else "update", "diff": diff})
        self.hear("file.edited", text=path, call=call, data_json=about, parent=parent)

    # --- questions ---------------------------------------------------------------------------------------------

    def request(self, message: Line) -> bool:
        """It waits for an answer, so it gets one: from a person, or at once."""
        key, asked = fields.key(message, "request_id"), message.get("request")
        if not key or not isinstance(asked, dict):
            raise ValueError("a request that cannot be answered")
        if asked.get("subtype") == "can_use_tool":
            self.ask(_question(key, asked))
            return True
        subtype = fields.word(asked, "subtype")
        self.sends.append(words.refusal(key, f"Kage does not answer {subtype!r}"))
        self.hear("unknown", text=f"control_request/{subtype}", data_json=clip_json(dict(message)))
        return True

    def cancel(self, message: Line) -> bool:
        """It does not wait any more."""
        self.unask(fields.key(message, "request_id"))
        return True

    def response(self, message: Line) -> bool:
        """The answer to a request of ours."""
        response = message.get("response")
        if not isinstance(response, dict):
            return False
        if response.get("subtype") == "error":
            self.hear("error", text=f"refused: {fields.text(response, 'error')}", data_json=clip_json(dict(message)))
        elif response.get("request_id") == words.BASELINE and not self.memory.flag("based"):
            session = _at(response, "response", "session")
            if isinstance(session, dict):  # what a resumed session had used before this run is not told again
                self._told(*_totals(session, "model_usage"))
                self.memory.keep("based", True)
        return True

    # --- usage -------------------------------------------------------------------------------------------------

    def _call_used(self, said: Line, parent: str) -> None:
        """What a call of the model read; what it wrote is known at the end of the turn only. Told once a message."""
        used, message_id = said.get("usage"), fields.word(said, "id")
        if parent or not isinstance(used, dict) or message_id == self.memory.word("message"):
            return
        self.memory.keep("message", message_id)
        read = _read(used)
        self._told(self.memory.count("in") + read, self.memory.count("out"), self.memory.count("cost"))
        self.used(input_tokens=read, output_tokens=0)

    def _told(self, read: int, written: int, cost: int) -> None:
        self.memory.keep("in", min(read, fields.MAX_COUNT))
        self.memory.keep("out", min(written, fields.MAX_COUNT))
        self.memory.keep("cost", min(cost, fields.MAX_COUNT))

    def result(self, message: Line) -> bool:
        """The end of a turn, with the totals of the process so far."""
        read, written, cost = _totals(message, "modelUsage")
        told = self.memory.count("in"), self.memory.count("out"), self.memory.count("cost")
        if not isinstance(message.get("modelUsage"), dict) and isinstance(used := message.get("usage"), dict):
            read, written = told[0], told[1] + fields.count(used, "output_tokens")
        self._told(max(read, told[0]), max(written, told[1]), max(cost, told[2]))
        self.used(
            input_tokens=max(0, read - told[0]),
            output_tokens=max(0, written - told[1]),
            cost_microusd=max(0, cost - told[2]),
        )
        outcome = _outcome(message)
        said = "; ".join(fields.as_text(error) for error in fields.items(message, "errors"))
        if not said and outcome != "ok":
            said = fields.text(message, "result")
        about = {name: message[name] for name in _ABOUT_RESULT if message.get(name) not in (None, [], "")}
        if self.task.session and _LOST in said:
            self.hear("session.lost", text=clip_text(said))
        else:
            self.session(fields.word(message, "session_id"))
        self.turn_ends(outcome, clip_text(said) if outcome != "ok" else "", clip_json(about))
        self.turn_over(outcome)
        return True


_ABOUT_RESULT: Final = (
    *("subtype", "terminal_reason", "stop_reason", "num_turns", "duration_ms", "api_error_status"),
    *("permission_denials", "deferred_tool_use"),
)


def _outcome(message: Line) -> str:
    """ok, cancelled, max_turns, max_budget or error."""
    subtype, reason = message.get("subtype"), message.get("terminal_reason")
    if reason in _STOPPED:
        return "cancelled"
    if subtype in ("error_max_turns", "error_max_budget_usd"):
        return "max_turns" if subtype == "error_max_turns" else "max_budget"
    return "ok" if subtype == "success" and message.get("is_error") is not True else "error"


def _read(used: Line) -> int:
    """Tokens read, wherever they came from."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(fields.count(used, name, 2**50) for name in names)


def _totals(message: Line, name: str) -> tuple[int, int, int]:
    """Tokens read, tokens written and millionths of a dollar: sums over all models that were used."""
    read = written = 0
    models = message.get(name)
    for used in models.values() if isinstance(models, dict) else ():
        if isinstance(used, dict):
            for count in ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"):
                read += fields.count(used, count, 2**50)
            written += fields.count(used, "outputTokens", 2**50)
    return min(read, fields.MAX_COUNT), min(written, fields.MAX_COUNT), fields.microusd(message, "total_cost_usd")


def _at(line: Json, *names: str) -> Json:
    value: Json = line
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(content: Json) -> str | None:
    """The text of a result, or None when there is more to it than text."""
    if isinstance(content, str) or content is None:
        return content or ""
    if isinstance(content, list) and all(_at(block, "type") == "text" for block in content):
        return "\n".join(fields.as_text(_at(block, "text")) for block in content)
    return None


def _other_than_text(block: Line) -> str:
    return "" if block.get("type") == "text" else clip_json(dict(block))


def _created(result: Line) -> Iterator[str]:
    yield from ("+" + line for line in fields.as_text(result.get("content")).splitlines())


def _patched(result: Line) -> Iterator[str]:
    for hunk in fields.items(result, "structuredPatch"):
        if isinstance(hunk, dict):
            numbers = [fields.count(hunk, name) for name in ("oldStart", "oldLines", "newStart", "newLines")]
            yield "@@ -{},{} +{},{} @@".format(*numbers)
            yield from (fields.as_text(line) for line in fields.items(hunk, "lines"))


def _question(key: str, asked: Line) -> Ask:
    tool, given = fields.word(asked, "tool_name"), asked.get("input")
    why = fields.text(asked, "decision_reason")
    if tool == words.ASK_PERSON and isinstance(given, dict):
        questions = [item for item in fields.items(given, "questions") if isinstance(item, dict)]
        title = "\n".join(fields.as_text(item.get("question")) for item in questions)
        choices: list[Json] = [
            option.get("label")
            for item in questions[:1]
            for option in fields.items(item, "options")
            if isinstance(option, dict)
        ]
        about = clip_json({**given, "choices": choices})
        return Ask(key=key, kind="question", title=clip_text(title), tool=tool, data_json=about, why=why)
    shown = ""
    if isinstance(given, dict):
        shown = next((fields.text(given, name) for name in _TELLING if given.get(name)), "")
    shown = shown or fields.text(asked, "description") or json.dumps(given)[:200]
    name = fields.word(asked, "display_name") or tool
    return Ask(key=key, title=clip_text(f"{name}: {shown}"), tool=tool, data_json=fields.data(asked, "input"), why=why)


_TELLING: Final = ("command", "file_path", "notebook_path", "url", "path", "query")

_SYSTEM: Final[Mapping[str, Callable[[_Hearing, Line], None]]] = MappingProxyType(
    {
        "init": _Hearing.init,
        "api_retry": _Hearing.retry,
        "compact_boundary": _Hearing.compacted,
        "task_started": _Hearing.subagent,
        "task_progress": _Hearing.subagent,
        "task_notification": _Hearing.subagent,
        "status": _Hearing.nothing,
    }
)


def _nothing(_: _Hearing, __: Line) -> bool:
    return True


_TYPES: Final[Mapping[str, Callable[[_Hearing, Line], bool]]] = MappingProxyType(
    {
        "system": _Hearing.system,
        "assistant": _Hearing.assistant,
        "user": _Hearing.user,
        "result": _Hearing.result,
        "control_request": _Hearing.request,
        "control_cancel_request": _Hearing.cancel,
        "control_response": _Hearing.response,
        "rate_limit_event": _Hearing.rate_limit,
        "stream_event": _nothing,  # pieces of what comes whole
        "keep_alive": _nothing,
    }
)

PROVIDES = (ClaudeCodeAdapter,)
