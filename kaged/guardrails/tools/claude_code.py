"""Claude Code's tools. Those of MCP servers are `other`: what they do is theirs to know."""

from typing import Final

from kaged.guardrails.action import Action, Kind
from kaged.guardrails.tools.reading import Call, command, command_line, paths_of, plain

_KINDS: Final[dict[str, Kind]] = {
    "Read": "read", "Glob": "read", "Grep": "read", "LS": "read", "NotebookRead": "read", "BashOutput": "read",
    "TaskOutput": "read", "TodoWrite": "read", "TodoRead": "read", "ExitPlanMode": "read", "EnterPlanMode": "read",
    "KillShell": "read", "KillBash": "read", "TaskStop": "read", "ToolSearch": "read", "ListMcpResources": "read",
    "Write": "write", "Edit": "edit", "MultiEdit": "edit", "NotebookEdit": "edit", "Update": "edit",
    "WebFetch": "network", "WebSearch": "network",
}  # fmt: skip


def action(tool: str, call: Call, title: str, folder: str, home: str) -> Action:
    """What a call of one of its tools does."""
    if tool in ("Bash", "PowerShell", "Monitor"):
        return command(command_line(call.given), call, tool=tool, folder=folder, home=home)
    kind = _KINDS.get(tool, "other")
    paths = paths_of(call.given, folder, home) if kind in ("read", "write", "edit") or kind == "other" else ()
    return plain(kind, call, tool=tool, folder=folder, home=home, paths=paths)
