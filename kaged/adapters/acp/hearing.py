"""What an ACP agent says, message by message. Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kaged.adapters.acp import words
from kaged.adapters.acp.updates import json_of, option_of, text_of, tool_of, usage_of
from kaged.adapters.wire import fields, json_rpc
from kaged.adapters.wire.clipping import Json, clip_json, clip_text, clip_word
from kaged.adapters.wire.failures import by_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.json_rpc import RpcHearing, key_of, request, result
from kaged.domain.signals import Ask, FailureWord

_AUTH_REQUIRED: Final = -32000  # the number that the protocol gives it
# The protocol says of a prompt's usage both that it is the turn's and that it is the session's. These tell, with
# each turn, all that their process used so far; the others tell the turn.
_TELL_SUMS: Final = frozenset({"Copilot"})


class AcpHearing(RpcHearing):
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
                self.send(words.prompt(native, self.task.words))
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
            name = fields.word(info, "name")
            self.memory.keep("tells_sums", name in _TELL_SUMS)
            self.hear("log", text=f"{name} {fields.word(info, 'version')}", data_json=clip_json(dict(about)))

    def _turn_over(self, result: Line) -> None:
        read, written = usage_of(result)
        if self.memory.flag("tells_sums"):
            before = self.memory.count("in"), self.memory.count("out")
            self.memory.keep("in", max(read, before[0]))
            self.memory.keep("out", max(written, before[1]))
            read, written = max(0, read - before[0]), max(0, written - before[1])
        self.used(input_tokens=read, output_tokens=written)
        reason = fields.word(result, "stopReason")
        outcome = {"end_turn": "ok", "": "ok"}.get(reason, reason)
        self.all_withdrawn()
        self.turn_ends(outcome, data_json=clip_json({"stopReason": reason}))
        self.turn_over(outcome)

    def lost(self, said: str) -> bool:
        return "auth" not in said.lower()  # agents have many words for it; trying the same again helps with none

    def failure(self, code: int, said: str) -> FailureWord:
        return "auth" if code == _AUTH_REQUIRED else by_text(said)

    # --- questions -----------------------------------------------------------------------------------------------

    def asked(self, method: str, given: int | str, params: Line) -> Ask | None:
        call = params.get("toolCall")
        if method != "session/request_permission" or not isinstance(call, dict):
            return None
        options = [each for each in fields.items(params, "options") if isinstance(each, dict)]
        yes, no = option_of(options, "allow"), option_of(options, "reject")
        shown = {name: call[name] for name in ("rawInput", "content", "locations", "toolCallId") if call.get(name)}
        return Ask(
            key=key_of(given, yes, no),
            title=fields.text(call, "title"),
            tool=tool_of(call),
            data_json=clip_json(shown),
        )

    def declined(self, given: int | str, method: str) -> dict[str, Json]:
        return result(given, words.CANCELLED)

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
        self.piece("message", text_of(update.get("content")), fields.word(update, "messageId"))

    def thought(self, update: Line) -> None:
        """agent_thought_chunk {content, messageId}"""
        self.piece("thinking", text_of(update.get("content")), fields.word(update, "messageId"))

    def tool(self, update: Line) -> None:
        """tool_call, tool_call_update {toolCallId, title, kind, status, rawInput, content, rawOutput}

        Told as requested once its arguments are known, as started when it runs, as finished when it ends.
        """
        call, status = fields.word(update, "toolCallId"), fields.word(update, "status")
        stage, _, tool = self.memory.drop("calls", call).partition(" ")
        tool = tool_of(update) or tool
        given = update.get("rawInput")
        over = status in ("completed", "failed")
        if not stage and (given or status == "in_progress" or over or update.get("content")):
            self._requested(update, call, tool)
            stage = "requested"
        if status == "in_progress" and stage == "requested":
            self.hear("tool.started", call=call, tool=tool, text=fields.text(update, "title"), data_json=json_of(given))
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
        plain = "\n".join(filter(None, map(text_of, content)))
        self.hear(
            "tool.finished",
            call=call,
            tool=tool,
            outcome="ok" if status == "completed" else "error",
            text=clip_text(output if isinstance(output, str) else plain),
            data_json="" if isinstance(output, str) else json_of(output),
        )
        for each in content if status == "completed" else ():
            if isinstance(each, dict) and each.get("type") == "diff":
                path = fields.word(each, "path")
                about = {name: each.get(name) for name in ("path", "oldText", "newText")}
                self.hear("file.edited", text=path, call=call, data_json=clip_json(about))

    def plan(self, update: Line) -> None:
        """plan {entries: [{content, priority, status}]}: the whole plan each time"""
        steps: list[dict[str, Json]] = []
        for each in fields.items(update, "entries"):
            if isinstance(each, dict):
                done, status = each.get("status") == "completed", fields.word(each, "status")
                steps.append({"text": fields.text(each, "content"), "done": done, "status": status})
        self.planned(steps)

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


_WORK: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "tool_call", "plan"})
_WHILE_SPEAKING: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "usage_update"})
_UPDATES: Final[Mapping[str, Callable[[AcpHearing, Line], None]]] = MappingProxyType(
    {
        "agent_message_chunk": AcpHearing.said,
        "agent_thought_chunk": AcpHearing.thought,
        "tool_call": AcpHearing.tool,
        "tool_call_update": AcpHearing.tool,
        "plan": AcpHearing.plan,
        "usage_update": AcpHearing.usage,
        "user_message_chunk": AcpHearing.nothing,
        "available_commands_update": AcpHearing.nothing,
        "current_mode_update": AcpHearing.nothing,
        "config_option_update": AcpHearing.nothing,
        "session_info_update": AcpHearing.nothing,
    }
)
