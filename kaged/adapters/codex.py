"""Codex, driven through `codex app-server`: JSON-RPC a line, without the "jsonrpc" member. Pure.

    initialize -> thread/start or thread/resume -> turn/start -> ... approvals ... -> turn/completed

What it may do without asking is its own configuration's to say (`-c approval_policy=...`); each request for approval
becomes one of Kage's. Codex tells tokens and no money. A refusal carries no words to it: the note of who refused is
in the journal only. With a goal the run is over when its turn ends, unless somebody interrupted it.
"""

import json
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

_EDIT_BYTES: Final = 1 << 10


class CodexAdapter:
    """See the module. `max_line_bytes` is smaller in tests only."""

    name: ClassVar[str] = "codex"
    listens: ClassVar[bool] = True
    default_stdin: ClassVar[Literal["null", "pipe"]] = "pipe"
    default_command: ClassVar[tuple[str, ...]] = ("codex", "app-server")
    measures: ClassVar[frozenset[Measure]] = frozenset({"turns", "tokens"})

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes

    def launch(self, task: Assignment) -> Launch:
        """The command as it is, and the greeting."""
        about: dict[str, Json] = {"clientInfo": {"name": "kage", "title": "Kage", "version": "1"}}
        return Launch(argv=task.command, opening=line(request(json_rpc.HELLO, "initialize", about)))

    def feed(self, state: bytes, data: bytes, *, final: bool, task: Assignment = UNASSIGNED) -> Fed:
        """Understand whole lines."""
        return _Hearing(state, task).feed(data, final=final, max_line_bytes=self._max_line_bytes)

    def answer(self, ask: Ask, outcome: Literal["approved", "denied", "expired"], note: str) -> bytes:
        """The response that it waits for, in the form that the question's key names."""
        parts = json_rpc.parts_of(ask.key)
        form, given = (parts[0], parts[1]) if len(parts) >= 2 else (None, None)
        yes = outcome == "approved"
        match form:
            case "elicit":
                value: dict[str, Json] = {"action": "accept", "content": {}} if yes else {"action": "decline"}
            case "answers":
                ids = given_ids if len(parts) > 2 and isinstance(given_ids := parts[2], list) else []
                value = {"answers": {fields.as_text(each): {"answers": [note] if yes else []} for each in ids}}
            case _:
                value = {"decision": "accept" if yes else "decline"}
        return line(result(given, value))

    def message(self, text: str, *, session: str = "", number: int = 0) -> bytes:
        """A prompt in the session; there is none before it."""
        return prompt(session, text, json_rpc.PROMPT + 1 + number) if session else b""

    def interrupt(self, state: bytes, *, task: Assignment, number: int, expected: bool = False) -> bytes:
        """`turn/interrupt` with the turn's own id; it takes back what it asked."""
        memory = Memory(state)
        thread, turn = memory.word("session"), memory.word("native_turn")
        if not (memory.flag("in_turn") and thread and turn):
            return b""
        return line(request(-1 - number, "turn/interrupt", {"threadId": thread, "turnId": turn}))


def prompt(thread: str, text: str, number: int = json_rpc.PROMPT) -> bytes:
    """Words of a user; they begin a turn. `number`: not used before in this run, 3 or more."""
    return line(_turn(thread, text, number))


def _turn(thread: str, text: str, number: int) -> dict[str, Json]:
    return request(number, "turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})


class _Hearing(RpcHearing):
    """One call of `feed`."""

    versioned = False

    # --- our requests --------------------------------------------------------------------------------------------

    def answered(self, number: int, result: Line) -> None:
        if number == json_rpc.HELLO:
            self.send({"method": "initialized"})
            if self.task.session:
                resume: dict[str, Json] = {"threadId": self.task.session, "excludeTurns": True}
                self.send(request(json_rpc.SESSION, "thread/resume", resume))
            else:
                self.send(request(json_rpc.SESSION, "thread/start", {"cwd": self.task.working_directory}))
        elif number == json_rpc.SESSION:
            thread = result.get("thread")
            native = fields.word(thread, "id") if isinstance(thread, dict) else ""
            about = {name: result.get(name) for name in ("model", "cwd", "approvalPolicy", "sandbox") if name in result}
            self.session(native, clip_json(about))
            if native and self.task.words:
                self.send(_turn(native, self.task.words, json_rpc.PROMPT))

    def lost(self, said: str) -> bool:
        return "no rollout found" in said or "not found" in said

    # --- questions -----------------------------------------------------------------------------------------------

    def asked(self, method: str, given: int | str, params: Line) -> Ask | None:
        why = fields.text(params, "reason")
        about = clip_json(dict(params))
        match method:
            case "item/commandExecution/requestApproval":
                title = f"run: {fields.text(params, 'command')}"
                return Ask(key=key_of("decide", given), title=clip_text(title), tool="shell", data_json=about, why=why)
            case "item/fileChange/requestApproval":
                edit = self.memory.text("edit")
                changes: Json = json.loads(edit) if edit else None
                paths = [fields.as_text(each.get("path")) for each in _dicts(changes)]
                if changes:
                    about = clip_json({**params, "changes": changes})
                title = f"edit: {', '.join(paths) or 'files'}"
                return Ask(key=key_of("decide", given), title=clip_text(title), tool="edit", data_json=about, why=why)
            case "mcpServer/elicitation/request":
                title = fields.text(params, "message")
                tool = fields.word(params, "serverName")
                return Ask(key=key_of("elicit", given), title=title, tool=tool, data_json=about, why=why)
            case "item/tool/requestUserInput":
                questions = _dicts(params.get("questions"))
                ids: list[Json] = [fields.as_text(each.get("id")) for each in questions]
                title = "\n".join(fields.as_text(each.get("question")) for each in questions)
                choices: list[Json] = [each.get("label") for q in questions[:1] for each in _dicts(q.get("options"))]
                about = clip_json({**params, "choices": choices})
                key = key_of("answers", given, ids)
                return Ask(key=key, kind="question", title=clip_text(title), data_json=about)
            case _:
                return None

    def declined(self, given: int | str, method: str) -> dict[str, Json]:
        if "elicitation" in method:
            return result(given, {"action": "decline"})
        return result(given, {"answers": {}} if "UserInput" in method else {"decision": "decline"})

    # --- what happens --------------------------------------------------------------------------------------------

    def notified(self, method: str, params: Line) -> bool:
        if method.endswith(_SILENT_ENDS) or method in _SILENT:
            return True
        understand = _METHODS.get(method)
        if understand is None:
            return False
        understand(self, params)
        return True

    def _parent(self, params: Line) -> str:
        """The thread of a subagent; empty for the agent's own."""
        thread = fields.word(params, "threadId")
        return thread if thread != self.memory.word("session") else ""

    def turn_started(self, params: Line) -> None:
        """turn/started {threadId, turn}"""
        turn = params.get("turn")
        native = fields.word(turn, "id") if isinstance(turn, dict) else ""
        if parent := self._parent(params):
            self.hear("subagent", outcome="started", parent=parent, data_json=clip_json({"turn": native}))
        else:
            self.memory.keep("native_turn", native)
            self.turn_begins(clip_json({"turn": native}))

    def turn_completed(self, params: Line) -> None:
        """turn/completed {threadId, turn: {status, error}}"""
        given = params.get("turn")
        turn: Line = given if isinstance(given, dict) else {}
        status = fields.word(turn, "status")
        outcome = {"completed": "ok", "interrupted": "cancelled", "failed": "error"}.get(status, status or "error")
        error = turn.get("error")
        said = fields.text(error, "message") if isinstance(error, dict) else ""
        if parent := self._parent(params):
            self.hear("subagent", outcome=outcome, text=said, parent=parent)
            return
        about = clip_json({"turn": turn.get("id"), "duration_ms": turn.get("durationMs"), "error": error})
        self.all_withdrawn()
        self.memory.keep("native_turn", "")
        self.turn_ends(outcome, said, about)
        self.turn_over(outcome)

    def usage(self, params: Line) -> None:
        """thread/tokenUsage/updated {tokenUsage: {last, total}}: after each call of the model"""
        usage = params.get("tokenUsage")
        last = usage.get("last") if isinstance(usage, dict) else None
        total = usage.get("total") if isinstance(usage, dict) else None
        if not isinstance(last, dict):
            return
        seen = clip_word(clip_json({"thread": params.get("threadId"), "total": total}))
        if seen == self.memory.word("usage"):
            return  # told again
        self.memory.keep("usage", seen)
        read, written = fields.count(last, "inputTokens"), fields.count(last, "outputTokens")
        self.used(input_tokens=read, output_tokens=written, parent=self._parent(params))

    def item_started(self, params: Line) -> None:
        """item/started {item}"""
        item = params.get("item")
        if not isinstance(item, dict) or item.get("type") in _NO_CALLS:
            return
        call, tool = fields.word(item, "id"), _tool(item)
        if item.get("type") == "fileChange":
            edit = json.dumps(item.get("changes"))
            self.memory.keep("edit", edit if len(edit) <= _EDIT_BYTES else "")
        self.hear("tool.started", call=call, tool=tool, data_json=_input(item), parent=self._parent(params))

    def item_completed(self, params: Line) -> None:
        """item/completed {item}"""
        item, parent = params.get("item"), self._parent(params)
        if not isinstance(item, dict):
            return
        match item.get("type"):
            case "agentMessage":
                self.hear("message", text=fields.text(item, "text"), parent=parent)
            case "reasoning":
                parts = [*fields.items(item, "summary"), *fields.items(item, "content")]
                self.hear("thinking", text=clip_text("\n".join(map(fields.as_text, parts))), parent=parent)
            case "plan":
                self.hear("plan", text=fields.text(item, "text"), parent=parent)
            case "contextCompaction":
                self.hear("progress", text="the conversation was compacted", parent=parent)
            case "userMessage" | "hookPrompt":
                pass
            case _:
                self._call_ended(item, parent)

    def _call_ended(self, item: Line, parent: str) -> None:
        call, status = fields.word(item, "id"), fields.word(item, "status")
        code = item.get("exitCode")
        bad = status == "failed" or item.get("success") is False or (isinstance(code, int) and code != 0)
        outcome = "denied" if status == "declined" else "error" if bad else "ok"
        about = {name: item[name] for name in _RESULTS if item.get(name) is not None}
        self.hear(
            "tool.finished",
            call=call,
            tool=_tool(item),
            outcome=outcome,
            text=fields.text(item, "aggregatedOutput"),
            data_json=clip_json(about) if about else "",
            parent=parent,
        )
        if item.get("type") == "fileChange" and status == "completed":
            for change in _dicts(item.get("changes")):
                kind = change.get("kind")
                word = fields.word(kind, "type") if isinstance(kind, dict) else fields.word(change, "kind")
                about = {"path": change.get("path"), "change": word, "diff": fields.text(change, "diff")}
                path = fields.word(change, "path")
                self.hear("file.edited", text=path, call=call, data_json=clip_json(about), parent=parent)

    def plan(self, params: Line) -> None:
        """turn/plan/updated {explanation, plan: [{step, status}]}"""
        steps: list[Json] = []
        words: list[str] = []
        for each in _dicts(params.get("plan")):
            text, done = fields.text(each, "step"), each.get("status") == "completed"
            steps.append({"text": text, "done": done, "status": fields.word(each, "status")})
            words.append(f"[{'x' if done else ' '}] {text}")
        text = clip_text("\n".join(words))
        self.hear("plan", text=text, data_json=clip_json(steps), parent=self._parent(params))

    def rate_limits(self, params: Line) -> None:
        """account/rateLimits/updated {rateLimits: {primary, secondary, rateLimitReachedType}}"""
        limits = params.get("rateLimits")
        if not isinstance(limits, dict):
            return
        windows = [each for name in ("primary", "secondary") if isinstance(each := limits.get(name), dict)]
        reached = fields.word(limits, "rateLimitReachedType")
        if not windows and not reached:
            return
        fullest = max(windows, key=lambda each: fields.count(each, "usedPercent"), default={})
        used, resets_us = fields.count(fullest, "usedPercent"), fields.count(fullest, "resetsAt", 2**40) * 1_000_000
        outcome = "rejected" if reached else "allowed"
        text = clip_word(" ".join(filter(None, (reached, f"{used}% used"))))
        self.hear("rate_limit", outcome=outcome, text=text, data_json=clip_json(limits), resets_us=resets_us)

    def error(self, params: Line) -> None:
        """error {error: {message}, willRetry}"""
        error = params.get("error")
        said = fields.text(error, "message") if isinstance(error, dict) else ""
        outcome = "retrying" if params.get("willRetry") is True else ""
        self.hear("error", text=said, outcome=outcome, data_json=clip_json(dict(params)), parent=self._parent(params))

    def warning(self, params: Line) -> None:
        """For whoever looks for a fault."""
        self.hear("log", text=fields.text(params, "message") or fields.text(params, "summary"))

    def resolved(self, params: Line) -> None:
        """serverRequest/resolved {requestId}: answered, or not needed any more"""
        self.withdrawn(params.get("requestId"))


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _tool(item: Line) -> str:
    match item.get("type"):
        case "commandExecution":
            return "shell"
        case "fileChange":
            return "edit"
        case "mcpToolCall" | "dynamicToolCall":
            place = fields.word(item, "server") or fields.word(item, "namespace")
            return clip_word("/".join(filter(None, (place, fields.word(item, "tool")))))
        case _:
            return fields.word(item, "type")


def _input(item: Line) -> str:
    known = {"type", "id", "status", "startedAtMs", "completedAtMs", "aggregatedOutput"}
    return clip_json({name: value for name, value in item.items() if name not in known and value is not None})


_RESULTS: Final = ("command", "exitCode", "durationMs", "arguments", "result", "error", "contentItems", "query", "path")
_NO_CALLS: Final = frozenset({"userMessage", "agentMessage", "reasoning", "plan", "hookPrompt", "contextCompaction"})
_SILENT_ENDS: Final = ("/delta", "Delta", "/progress", "PartAdded")  # pieces of what comes whole
_SILENT: Final = frozenset(
    {
        *("thread/started", "thread/status/changed", "thread/settings/updated", "thread/name/updated"),
        *("thread/readState/changed", "thread/goal/cleared", "turn/diff/updated", "remoteControl/status/changed"),
        *("mcpServer/startupStatus/updated", "item/commandExecution/terminalInteraction", "account/updated"),
    }
)
_METHODS: Final[Mapping[str, Callable[[_Hearing, Line], None]]] = MappingProxyType(
    {
        "turn/started": _Hearing.turn_started,
        "turn/completed": _Hearing.turn_completed,
        "thread/tokenUsage/updated": _Hearing.usage,
        "item/started": _Hearing.item_started,
        "item/completed": _Hearing.item_completed,
        "turn/plan/updated": _Hearing.plan,
        "account/rateLimits/updated": _Hearing.rate_limits,
        "error": _Hearing.error,
        "warning": _Hearing.warning,
        "configWarning": _Hearing.warning,
        "guardianWarning": _Hearing.warning,
        "deprecationNotice": _Hearing.warning,
        "serverRequest/resolved": _Hearing.resolved,
    }
)

PROVIDES = (CodexAdapter,)
