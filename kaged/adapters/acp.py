"""Any agent that speaks the Agent Client Protocol, version 1, over standard input and output. Pure.

    initialize -> session/new or session/load -> session/prompt -> updates, request_permission ... -> stopReason

Kage offers the agent no files and no terminal of its own: agents use theirs. What is said in pieces is joined, up to
some 2 KiB a signal. Options of a question are chosen by their kind, never by their id: once, not for always. A
session that is loaded is replayed by the agent; the replay is recorded as output and not heard again. The protocol
tells no turns and agents differ in what usage they tell (docs/agents.md).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from kaged.adapters import fields, json_rpc
from kaged.adapters.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.fields import Line
from kaged.adapters.json_lines import MAX_LINE_BYTES, Memory, line
from kaged.adapters.json_rpc import RpcHearing, key_of, request, result
from kaged.domain.assignment import UNASSIGNED, Assignment, Launch
from kaged.domain.signals import Ask, Fed
from kaged.ports import Measure

VERSION: Final = 1
_CAPABILITIES: Final[dict[str, Json]] = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
_CANCELLED: Final[dict[str, Json]] = {"outcome": {"outcome": "cancelled"}}


class AcpAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "acp"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is, and the greeting."""
        hello: dict[str, Json] = {
            "protocolVersion": VERSION,
            "clientCapabilities": _CAPABILITIES,
            "clientInfo": {"name": "kage", "title": "Kage", "version": "1"},
        }
        return Launch(argv=task.command, opening=_line(request(json_rpc.HELLO, "initialize", hello)))

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return _Hearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The option that the question's key names; `cancelled` where the agent offered none of that kind."""
        parts = json_rpc.parts_of(ask.key)
        given = parts[0] if parts else None
        option = parts[1 if outcome == "approved" else 2] if len(parts) == 3 else None
        if not isinstance(option, str):
            return _line(result(given, _CANCELLED))
        return _line(result(given, {"outcome": {"outcome": "selected", "optionId": option}}))

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt in the session; there is none before it."""
        return prompt(session, text, json_rpc.PROMPT + 1 + number) if session else b""

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """`session/cancel`, and what the protocol asks of a client with it: all open questions are cancelled."""
        memory = Memory(state)
        session = memory.word("session")
        if not session or not (expected or memory.flag("in_turn")):
            return b""
        keys = (json_rpc.parts_of(fields.as_text(key)) for key in memory.map("asks").values())
        cancelled = [_line(result(parts[0], _CANCELLED)) for parts in keys if parts]
        return b"".join([_line({"method": "session/cancel", "params": {"sessionId": session}}), *cancelled])


def prompt(session: str, text: str, number: int = json_rpc.PROMPT) -> bytes:
    """Words of a user; they begin a turn. `number`: not used before in this run, 3 or more."""
    return _line(_prompt(session, text, number))


def _prompt(session: str, text: str, number: int) -> dict[str, Json]:
    return request(number, "session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})


def _line(message: dict[str, Json]) -> bytes:
    return line({"jsonrpc": "2.0", **message})


class _Hearing(RpcHearing):
    """One call of `feed`."""

    def understand(self, message: Line) -> bool:
        if message.get("method") != "session/update":
            self.speak()  # what was said in pieces came before this
        return super().understand(message)

    # --- our requests --------------------------------------------------------------------------------------------

    def answered(self, number: int, result: Line) -> None:
        if number == json_rpc.HELLO:
            self._open(result)
        elif number == json_rpc.SESSION:
            self.memory.keep("loading", False)
            native = self.task.session if self.memory.flag("loaded") else fields.key(result, "sessionId")
            about = {name: result.get(name) for name in ("modes", "models") if name in result}
            self.session(clip_word(native), clip_json(about) if about else "")
            if native and self.task.words:
                self.send(_prompt(native, self.task.words, json_rpc.PROMPT))
                self.turn_begins()
        elif number >= json_rpc.PROMPT:
            self._turn_over(result)

    def _open(self, about: Line) -> None:
        """The session to go on with, where the agent can; else a new one."""
        capabilities = about.get("agentCapabilities")
        can_load = isinstance(capabilities, dict) and capabilities.get("loadSession") is True
        where: dict[str, Json] = {"cwd": self.task.working_directory, "mcpServers": []}
        if self.task.session and can_load:
            self.memory.keep("loading", True)
            self.memory.keep("loaded", True)
            where["sessionId"] = self.task.session
        elif self.task.session:
            self.hear("error", text="this agent cannot load a session: a new one is begun")
        method = "session/load" if "sessionId" in where else "session/new"
        self.send(request(json_rpc.SESSION, method, where))
        info = about.get("agentInfo")
        if isinstance(info, dict):
            text = f"{fields.word(info, 'name')} {fields.word(info, 'version')}"
            self.hear("log", text=text, data_json=clip_json(dict(about)))

    def _turn_over(self, result: Line) -> None:
        read, written = _usage(result)
        self.used(input_tokens=read, output_tokens=written)
        reason = fields.word(result, "stopReason")
        outcome = {"end_turn": "ok", "": "ok"}.get(reason, reason)
        self.all_withdrawn()
        self.turn_ends(outcome, data_json=clip_json({"stopReason": reason}))
        self.turn_over(outcome)

    def lost(self, said: str) -> bool:
        return "auth" not in said.lower()  # agents have many words for it; trying the same again helps with none

    # --- questions -----------------------------------------------------------------------------------------------

    def asked(self, method: str, given: int | str, params: Line) -> Ask | None:
        call = params.get("toolCall")
        if method != "session/request_permission" or not isinstance(call, dict):
            return None
        options = [each for each in fields.items(params, "options") if isinstance(each, dict)]
        yes, no = _option(options, "allow"), _option(options, "reject")
        shown = {name: call[name] for name in ("rawInput", "content", "locations", "toolCallId") if call.get(name)}
        return Ask(
            key=key_of(given, yes, no),
            title=fields.text(call, "title"),
            tool=_tool(call),
            data_json=clip_json(shown),
        )

    def declined(self, given: int | str, method: str) -> dict[str, Json]:
        return result(given, _CANCELLED)

    # --- what happens --------------------------------------------------------------------------------------------

    def notified(self, method: str, params: Line) -> bool:
        if method == "$/cancel_request":
            self.withdrawn(params.get("requestId"))
            return True
        update = params.get("update")
        if method != "session/update" or not isinstance(update, dict):
            return False
        if self.memory.flag("loading"):
            return True  # it tells what was; that was heard when it happened
        kind = update.get("sessionUpdate")
        understand = _UPDATES.get(kind) if isinstance(kind, str) else None
        if understand is None:
            return False
        if kind not in _WHILE_SPEAKING:
            self.speak()
        if kind in _WORK and not self.memory.flag("in_turn"):
            self.turn_begins()  # a prompt that somebody else sent
        understand(self, update)
        return True

    def kind_of(self, message: Line) -> str:
        params = message.get("params")
        update = params.get("update") if isinstance(params, dict) else None
        kind = fields.word(update, "sessionUpdate") if isinstance(update, dict) else ""
        return clip_word("/".join(filter(None, (fields.word(message, "method"), kind))))

    def said(self, update: Line) -> None:
        """agent_message_chunk {content, messageId}"""
        self.piece("message", _text(update.get("content")), fields.word(update, "messageId"))

    def thought(self, update: Line) -> None:
        """agent_thought_chunk {content, messageId}"""
        self.piece("thinking", _text(update.get("content")), fields.word(update, "messageId"))

    def tool(self, update: Line) -> None:
        """tool_call, tool_call_update {toolCallId, title, kind, status, rawInput, content, rawOutput}

        Told as requested once its arguments are known, as started when it runs, as finished when it ends.
        """
        call, status = fields.word(update, "toolCallId"), fields.word(update, "status")
        stage, _, tool = self.memory.drop("calls", call).partition(" ")
        tool = _tool(update) or tool
        given = update.get("rawInput")
        over = status in ("completed", "failed")
        if not stage and (given or status == "in_progress" or over or update.get("content")):
            self._requested(update, call, tool)
            stage = "requested"
        if status == "in_progress" and stage == "requested":
            self.hear("tool.started", call=call, tool=tool, text=fields.text(update, "title"), data_json=_json(given))
            stage = "started"
        if over:
            self._finished(update, call, tool, status)
        else:
            self.memory.add("calls", call, f"{stage} {tool}")

    def _requested(self, update: Line, call: str, tool: str) -> None:
        about = {name: update[name] for name in ("rawInput", "content", "locations") if update.get(name)}
        title = fields.text(update, "title")
        self.hear("tool.requested", call=call, tool=tool, text=title, data_json=clip_json(about) if about else "")

    def _finished(self, update: Line, call: str, tool: str, status: str) -> None:
        output, content = update.get("rawOutput"), fields.items(update, "content")
        plain = "\n".join(filter(None, map(_text, content)))
        self.hear(
            "tool.finished",
            call=call,
            tool=tool,
            outcome="ok" if status == "completed" else "error",
            text=clip_text(output if isinstance(output, str) else plain),
            data_json="" if isinstance(output, str) else _json(output),
        )
        for each in content if status == "completed" else ():
            if isinstance(each, dict) and each.get("type") == "diff":
                path = fields.word(each, "path")
                about = {name: each.get(name) for name in ("path", "oldText", "newText")}
                self.hear("file.edited", text=path, call=call, data_json=clip_json(about))

    def plan(self, update: Line) -> None:
        """plan {entries: [{content, priority, status}]}: the whole plan each time"""
        steps: list[Json] = []
        words: list[str] = []
        for each in fields.items(update, "entries"):
            if isinstance(each, dict):
                text, done = fields.text(each, "content"), each.get("status") == "completed"
                steps.append({"text": text, "done": done, "status": fields.word(each, "status")})
                words.append(f"[{'x' if done else ' '}] {text}")
        self.hear("plan", text=clip_text("\n".join(words)), data_json=clip_json(steps))

    def usage(self, update: Line) -> None:
        """usage_update {used, size, cost}: cost is the sum of the process so far"""
        cost = update.get("cost")
        if not isinstance(cost, dict) or fields.word(cost, "currency") != "USD":
            return
        total, told = fields.microusd(cost, "amount"), self.memory.count("cost")
        self.memory.keep("cost", max(total, told))
        self.used(input_tokens=0, output_tokens=0, cost_microusd=max(0, total - told))

    def nothing(self, update: Line) -> None:
        """Known, and nothing that anybody asks for; it is in the output."""


def _option(options: list[dict[str, Json]], word: str) -> str | None:
    """Id of the option that says so once; for always only where there is no other."""
    for kind in (f"{word}_once", f"{word}_always"):
        for each in options:
            if each.get("kind") == kind and isinstance(each.get("optionId"), str):
                return str(each["optionId"])
    return None


def _tool(call: Line) -> str:
    meta = call.get("_meta")
    claude = meta.get("claudeCode") if isinstance(meta, dict) else None
    return (fields.word(claude, "toolName") if isinstance(claude, dict) else "") or fields.word(call, "kind")


def _text(block: Json) -> str:
    """The text of a content block, also of one inside another."""
    if not isinstance(block, dict):
        return ""
    inner = block.get("content")
    if block.get("type") == "content" and isinstance(inner, dict):
        block = inner
    return fields.text(block, "text") if block.get("type") == "text" else ""


def _json(value: Json) -> str:
    return "" if value in (None, {}, []) else clip_json(value)


def _usage(result: Line) -> tuple[int, int]:
    """Tokens read and written in this turn, as far as the agent tells; cached ones count as read."""
    usage, meta = result.get("usage"), result.get("_meta")
    if isinstance(usage, dict):
        total, written = fields.count(usage, "totalTokens"), fields.count(usage, "outputTokens")
        return max(fields.count(usage, "inputTokens"), total - written), written
    quota = meta.get("quota") if isinstance(meta, dict) else None
    counted = quota.get("token_count") if isinstance(quota, dict) else None
    if isinstance(counted, dict):
        return fields.count(counted, "input_tokens"), fields.count(counted, "output_tokens")
    return 0, 0


_WORK: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "tool_call", "plan"})
_WHILE_SPEAKING: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "usage_update"})
_UPDATES: Final[Mapping[str, Callable[[_Hearing, Line], None]]] = MappingProxyType(
    {
        "agent_message_chunk": _Hearing.said,
        "agent_thought_chunk": _Hearing.thought,
        "tool_call": _Hearing.tool,
        "tool_call_update": _Hearing.tool,
        "plan": _Hearing.plan,
        "usage_update": _Hearing.usage,
        "user_message_chunk": _Hearing.nothing,
        "available_commands_update": _Hearing.nothing,
        "current_mode_update": _Hearing.nothing,
        "config_option_update": _Hearing.nothing,
        "session_info_update": _Hearing.nothing,
    }
)

PROVIDES = (AcpAdapter,)
