"""What Codex says, message by message. Pure."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kaged.adapters.codex import questions, words
from kaged.adapters.codex.items import NO_CALLS, RESULTS, dicts, input_of, tool_of
from kaged.adapters.wire import fields, json_rpc
from kaged.adapters.wire.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.wire.failures import by_status, by_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.json_rpc import RpcHearing, request
from kaged.domain.signals import Ask, FailureWord

_EDIT_BYTES: Final = 1 << 10


class CodexHearing(RpcHearing):
    """One call of `feed`."""

    versioned = False

    # --- our requests --------------------------------------------------------------------------------------------

    def answered(self, number: int, result: Line) -> None:
        if number == json_rpc.HELLO:
            self.send({"method": "initialized"})
            # A level of approval: it asks before all but what it knows to only read, whatever its own settings say.
            asks: dict[str, Json] = {"approvalPolicy": "untrusted"} if self.task.approve not in ("", "none") else {}
            if self.task.session:
                resume: dict[str, Json] = {"threadId": self.task.session, "excludeTurns": True, **asks}
                self.send(request(json_rpc.SESSION, "thread/resume", resume))
            else:
                start: dict[str, Json] = {"cwd": self.task.working_directory, **asks}
                self.send(request(json_rpc.SESSION, "thread/start", start))
        elif number == json_rpc.SESSION:
            thread = result.get("thread")
            native = fields.word(thread, "id") if isinstance(thread, dict) else ""
            about = {name: result.get(name) for name in ("model", "cwd", "approvalPolicy", "sandbox") if name in result}
            self.session(native, clip_json(about))
            if native and self.task.words:
                self.send(words.turn(native, self.task.words))

    def lost(self, said: str) -> bool:
        return "no rollout found" in said or "not found" in said

    # --- questions -----------------------------------------------------------------------------------------------

    def asked(self, method: str, given: int | str, params: Line) -> Ask | None:
        return questions.asked(method, given, params, self.memory.text("edit"))

    def declined(self, given: int | str, method: str) -> dict[str, Json]:
        return questions.declined(given, method)

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
        self.turn_ends(outcome, said, about, failure_of(error, said))
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
        if not isinstance(item, dict) or fields.word(item, "type") in NO_CALLS:
            return
        call, tool = fields.word(item, "id"), tool_of(item)
        if item.get("type") == "fileChange":
            edit = json.dumps(item.get("changes"))
            self.memory.keep("edit", edit if len(edit) <= _EDIT_BYTES else "")
        self.hear("tool.started", call=call, tool=tool, data_json=input_of(item), parent=self._parent(params))

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
        about = {name: item[name] for name in RESULTS if item.get(name) is not None}
        self.hear(
            "tool.finished",
            call=call,
            tool=tool_of(item),
            outcome=outcome,
            text=fields.text(item, "aggregatedOutput"),
            data_json=clip_json(about) if about else "",
            parent=parent,
        )
        if item.get("type") == "fileChange" and status == "completed":
            for change in dicts(item.get("changes")):
                kind = change.get("kind")
                word = fields.word(kind, "type") if isinstance(kind, dict) else fields.word(change, "kind")
                about = {"path": change.get("path"), "change": word, "diff": fields.text(change, "diff")}
                path = fields.word(change, "path")
                self.hear("file.edited", text=path, call=call, data_json=clip_json(about), parent=parent)

    def plan(self, params: Line) -> None:
        """turn/plan/updated {explanation, plan: [{step, status}]}"""
        steps: list[dict[str, Json]] = []
        for each in dicts(params.get("plan")):
            done, status = each.get("status") == "completed", fields.word(each, "status")
            steps.append({"text": fields.text(each, "step"), "done": done, "status": status})
        self.planned(steps, self._parent(params))

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


def failure_of(error: Json, said: str) -> FailureWord:
    """Why a turn failed: {message, codexErrorInfo}, the latter a word, or {word: {httpStatusCode}}."""
    info = error.get("codexErrorInfo") if isinstance(error, dict) else None
    if isinstance(info, str) and info in _ERRORS:
        return _ERRORS[info]
    if isinstance(info, dict):
        for each in info.values():
            if isinstance(each, dict) and (known := by_status(fields.count(each, "httpStatusCode"))):
                return known
    return by_text(said)


_ERRORS: Final[Mapping[str, FailureWord]] = MappingProxyType(
    {
        "unauthorized": "auth",
        "usageLimitExceeded": "rate_limit",
        "contextWindowExceeded": "context_exhausted",
    }
)
_SILENT_ENDS: Final = ("/delta", "Delta", "/progress", "PartAdded")  # pieces of what comes whole
_SILENT: Final = frozenset(
    {
        *("thread/started", "thread/status/changed", "thread/settings/updated", "thread/name/updated"),
        *("thread/readState/changed", "thread/goal/cleared", "turn/diff/updated", "remoteControl/status/changed"),
        *("mcpServer/startupStatus/updated", "item/commandExecution/terminalInteraction", "account/updated"),
    }
)
_METHODS: Final[Mapping[str, Callable[[CodexHearing, Line], None]]] = MappingProxyType(
    {
        "turn/started": CodexHearing.turn_started,
        "turn/completed": CodexHearing.turn_completed,
        "thread/tokenUsage/updated": CodexHearing.usage,
        "item/started": CodexHearing.item_started,
        "item/completed": CodexHearing.item_completed,
        "turn/plan/updated": CodexHearing.plan,
        "account/rateLimits/updated": CodexHearing.rate_limits,
        "error": CodexHearing.error,
        "warning": CodexHearing.warning,
        "configWarning": CodexHearing.warning,
        "guardianWarning": CodexHearing.warning,
        "deprecationNotice": CodexHearing.warning,
        "serverRequest/resolved": CodexHearing.resolved,
    }
)
