"""What Claude Code says, line by line. Pure.

Usage is told once, whatever mixture of messages and totals it comes in: what a call of the model read is told with its
first message, what it wrote and what it cost with the end of the turn, as the difference to the totals so far.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kaged.adapters.claude_code import totals, words
from kaged.adapters.claude_code.blocks import at, created, other_than_text, patched, plain, question
from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.hearing import Hearing

_LOST: Final = "No conversation found"


class ClaudeHearing(Hearing):
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
        if not parent:  # a message about an error instead of the model's; its word for it is not told again
            self.memory.keep("error", fields.word(message, "error"))
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
        steps: list[dict[str, Json]] = []
        for item in fields.items(given, "todos"):
            if isinstance(item, dict):
                done, status = item.get("status") == "completed", fields.word(item, "status")
                steps.append({"text": fields.text(item, "content"), "done": done, "status": status})
        self.planned(steps, parent)

    def user(self, message: Line) -> bool:
        """Results of tools, and what was said in a user's name."""
        said, parent = message.get("message"), fields.word(message, "parent_tool_use_id")
        content = said.get("content") if isinstance(said, dict) else None
        blocks: Json = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return False
        refused = {
            fields.word(meta, "id")
            for meta in fields.items(message, "tool_result_meta")
            if isinstance(meta, dict) and at(meta, "permission_decision", "decision") == "reject"
        }
        for block in blocks:
            assert isinstance(block, dict)
            if block.get("type") == "tool_result":
                call = fields.word(block, "tool_use_id")
                self._result_of_tool(block, parent, refused=bool(call) and call in refused)
            else:
                self.hear("log", text=fields.text(block, "text"), data_json=other_than_text(block), parent=parent)
        self._edit(message.get("tool_use_result"), blocks, parent)
        return True

    def _result_of_tool(self, block: Line, parent: str, *, refused: bool) -> None:
        call = fields.word(block, "tool_use_id")
        content = block.get("content")
        text = plain(content)
        self.hear(
            "tool.finished",
            call=call,
            tool=clip_word(self.memory.drop("calls", call)),
            outcome="denied" if refused else "error" if block.get("is_error") is True else "ok",
            text="" if text is None else clip_text(text),
            data_json=clip_json(content) if text is None else "",
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
        diff = clip_text("\n".join(created(result) if made else patched(result)))
        about = clip_json({"path": path, "change": "create" if made else "update", "diff": diff})
        self.hear("file.edited", text=path, call=call, data_json=about, parent=parent)

    # --- questions ---------------------------------------------------------------------------------------------

    def request(self, message: Line) -> bool:
        """It waits for an answer, so it gets one: from a person, or at once."""
        key, asked = fields.key(message, "request_id"), message.get("request")
        if not key or not isinstance(asked, dict):
            raise ValueError("a request that cannot be answered")
        if asked.get("subtype") == "can_use_tool":
            self.ask(question(key, asked))
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
            session = at(response, "response", "session")
            if isinstance(session, dict):  # what a resumed session had used before this run is not told again
                self._told(*totals.totals_of(session, "model_usage"))
                self.memory.keep("based", True)
        return True

    # --- usage -------------------------------------------------------------------------------------------------

    def _call_used(self, said: Line, parent: str) -> None:
        """What a call of the model read; what it wrote is known at the end of the turn only. Told once a message."""
        used, message_id = said.get("usage"), fields.word(said, "id")
        if parent or not isinstance(used, dict) or message_id == self.memory.word("message"):
            return
        self.memory.keep("message", message_id)
        read = totals.read_of(used)
        self._told(self.memory.count("in") + read, self.memory.count("out"), self.memory.count("cost"))
        self.used(input_tokens=read, output_tokens=0)

    def _told(self, read: int, written: int, cost: int) -> None:
        self.memory.keep("in", min(read, fields.MAX_COUNT))
        self.memory.keep("out", min(written, fields.MAX_COUNT))
        self.memory.keep("cost", min(cost, fields.MAX_COUNT))

    def result(self, message: Line) -> bool:
        """The end of a turn, with the totals of the process so far."""
        read, written, cost = totals.totals_of(message, "modelUsage")
        told = self.memory.count("in"), self.memory.count("out"), self.memory.count("cost")
        if not isinstance(message.get("modelUsage"), dict) and isinstance(used := message.get("usage"), dict):
            read, written = told[0], told[1] + fields.count(used, "output_tokens")
        self._told(max(read, told[0]), max(written, told[1]), max(cost, told[2]))
        self.used(
            input_tokens=max(0, read - told[0]),
            output_tokens=max(0, written - told[1]),
            cost_microusd=max(0, cost - told[2]),
        )
        outcome = totals.outcome_of(message)
        said = "; ".join(fields.as_text(error) for error in fields.items(message, "errors"))
        if not said and outcome != "ok":
            said = fields.text(message, "result")
        about = {name: message[name] for name in _ABOUT_RESULT if message.get(name) not in (None, [], "")}
        if self.task.session and _LOST in said:
            self.hear("session.lost", text=clip_text(said))
        else:
            self.session(fields.word(message, "session_id"))
        failure = totals.failure_of(message, self.memory.word("error"), said) if outcome == "error" else ""
        self.memory.keep("error", "")
        self.turn_ends(outcome, clip_text(said) if outcome != "ok" else "", clip_json(about), failure)
        self.turn_over(outcome)
        return True


_ABOUT_RESULT: Final = (
    *("subtype", "terminal_reason", "stop_reason", "num_turns", "duration_ms", "api_error_status"),
    *("permission_denials", "deferred_tool_use"),
)


_SYSTEM: Final[Mapping[str, Callable[[ClaudeHearing, Line], None]]] = MappingProxyType(
    {
        "init": ClaudeHearing.init,
        "api_retry": ClaudeHearing.retry,
        "compact_boundary": ClaudeHearing.compacted,
        "task_started": ClaudeHearing.subagent,
        "task_progress": ClaudeHearing.subagent,
        "task_notification": ClaudeHearing.subagent,
        "status": ClaudeHearing.nothing,
    }
)


def _nothing(_: ClaudeHearing, __: Line) -> bool:
    return True


_TYPES: Final[Mapping[str, Callable[[ClaudeHearing, Line], bool]]] = MappingProxyType(
    {
        "system": ClaudeHearing.system,
        "assistant": ClaudeHearing.assistant,
        "user": ClaudeHearing.user,
        "result": ClaudeHearing.result,
        "control_request": ClaudeHearing.request,
        "control_cancel_request": ClaudeHearing.cancel,
        "control_response": ClaudeHearing.response,
        "rate_limit_event": ClaudeHearing.rate_limit,
        "stream_event": _nothing,  # pieces of what comes whole
        "keep_alive": _nothing,
    }
)
