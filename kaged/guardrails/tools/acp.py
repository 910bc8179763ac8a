"""Agents that speak the Agent Client Protocol: a tool has a `kind` and, in most agents, `rawInput`.

Agents name things as they like: Gemini CLI tells the command of a shell call in its title only.
"""

from typing import Final

from kaged.guardrails.action import Action, Kind
from kaged.guardrails.tools import claude_code
from kaged.guardrails.tools.reading import Call, Json, command, command_line, paths_of, plain

_KINDS: Final[dict[str, Kind]] = {
    "read": "read", "search": "read", "think": "read", "switch_mode": "read",
    "edit": "edit", "move": "edit", "delete": "delete", "execute": "command", "fetch": "network",
}  # fmt: skip
_CLAUDE: Final = frozenset({"Bash", "Write", "Edit", "MultiEdit", "NotebookEdit", "Read", "WebFetch", "Glob", "Grep"})


def action(tool: str, call: Call, title: str, folder: str, home: str) -> Action:
    """What a request for permission, or a tool call, does."""
    raw = call.part("rawInput") or (call.given if "content" not in call.given else {})
    if tool in _CLAUDE:  # claude-agent-acp tells Claude's own names
        inner = Call("")
        inner.given, inner.text, inner.cut = raw, call.text, call.cut
        return claude_code.action(tool, inner, title, folder, home)
    kind = _KINDS.get(tool, "other")
    if kind == "command":
        where = next((value for name in ("cwd", "directory") if isinstance(value := raw.get(name), str)), "")
        server = raw.get("server")
        if isinstance(server, str) and server:  # codex-acp: a call of an MCP server
            return plain("other", call, tool=tool, folder=folder, home=home, paths=())
        return command(command_line(raw) or title, call, tool=tool, folder=folder, home=home, cwd=where)
    paths = list(paths_of(raw, folder, home))
    for name in ("locations", "content"):
        for item in _dicts(call.given.get(name)):
            paths += paths_of(item, folder, home, ("path",))
    return plain(kind, call, tool=tool, folder=folder, home=home, paths=tuple(dict.fromkeys(paths)))


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
