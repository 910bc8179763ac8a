"""Codex's tools: `shell` and `edit`; what else it has are tools of MCP servers."""

from kaged.guardrails.action import Action
from kaged.guardrails.paths import normal
from kaged.guardrails.tools.reading import Call, command, command_line, paths_of, plain


def action(tool: str, call: Call, title: str, folder: str, home: str) -> Action:
    """What a request for approval, or an item, does."""
    if tool == "shell":
        cwd = call.given.get("cwd")
        line = command_line(call.given) or title.removeprefix("run: ")
        return command(line, call, tool=tool, folder=folder, home=home, cwd=cwd if isinstance(cwd, str) else "")
    if tool == "edit":
        changes = call.given.get("changes")
        given = changes if isinstance(changes, list) else []
        paths = [
            normal(path, folder, home)
            for change in given
            if isinstance(change, dict)
            for name in ("path", "move_path", "movePath")
            if isinstance(path := change.get(name), str) and path
        ]
        for change in given:
            kind = change.get("kind") if isinstance(change, dict) else None
            moved = kind.get("move_path") if isinstance(kind, dict) else None
            if isinstance(moved, str) and moved:
                paths.append(normal(moved, folder, home))
        root = call.given.get("grantRoot")
        if isinstance(root, str) and root:
            paths.append(normal(root, folder, home))
        return plain("edit", call, tool=tool, folder=folder, home=home, paths=tuple(dict.fromkeys(paths)))
    if tool in ("webSearch", "web_search", "imageView"):
        return plain("read" if tool == "imageView" else "network", call, tool=tool, folder=folder, home=home, paths=())
    return plain("other", call, tool=tool, folder=folder, home=home, paths=paths_of(call.given, folder, home))
