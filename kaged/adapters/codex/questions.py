"""What Codex asks, and how it is answered: the key of a question holds the form that its answer must have. Pure."""

import json

from kaged.adapters.codex.items import dicts
from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.json_rpc import key_of, parts_of, result
from kaged.domain.signals import Ask


def asked(method: str, given: int | str, params: Line, edit: str) -> Ask | None:
    """The question that a request is; None: nobody here can answer it.

    `edit`: the changes of the edit that was begun last, as JSON; empty if they are not known.
    """
    why = fields.text(params, "reason")
    about = clip_json(dict(params))
    match method:
        case "item/commandExecution/requestApproval":
            title = f"run: {fields.text(params, 'command')}"
            return Ask(key=key_of("decide", given), title=clip_text(title), tool="shell", data_json=about, why=why)
        case "item/fileChange/requestApproval":
            changes: Json = json.loads(edit) if edit else None
            paths = [fields.as_text(each.get("path")) for each in dicts(changes)]
            if changes:
                about = clip_json({**params, "changes": changes})
            title = f"edit: {', '.join(paths) or 'files'}"
            return Ask(key=key_of("decide", given), title=clip_text(title), tool="edit", data_json=about, why=why)
        case "mcpServer/elicitation/request":
            title = fields.text(params, "message")
            tool = fields.word(params, "serverName")
            return Ask(key=key_of("elicit", given), title=title, tool=tool, data_json=about, why=why)
        case "item/tool/requestUserInput":
            questions = dicts(params.get("questions"))
            ids: list[Json] = [fields.as_text(each.get("id")) for each in questions]
            title = "\n".join(fields.as_text(each.get("question")) for each in questions)
            choices: list[Json] = [each.get("label") for q in questions[:1] for each in dicts(q.get("options"))]
            about = clip_json({**params, "choices": choices})
            key = key_of("answers", given, ids)
            return Ask(key=key, kind="question", title=clip_text(title), data_json=about)
        case _:
            return None


def answered(key: str, *, yes: bool, note: str) -> dict[str, Json]:
    """The response that it waits for."""
    parts = parts_of(key)
    form, given = (parts[0], parts[1]) if len(parts) >= 2 else (None, None)
    match form:
        case "elicit":
            value: dict[str, Json] = {"action": "accept", "content": {}} if yes else {"action": "decline"}
        case "answers":
            ids = given_ids if len(parts) > 2 and isinstance(given_ids := parts[2], list) else []
            value = {"answers": {fields.as_text(each): {"answers": [note] if yes else []} for each in ids}}
        case _:
            value = {"decision": "accept" if yes else "decline"}
    return result(given, value)


def declined(given: int | str, method: str) -> dict[str, Json]:
    """No, without asking anybody."""
    if "elicitation" in method:
        return result(given, {"action": "decline"})
    return result(given, {"answers": {}} if "UserInput" in method else {"decision": "decline"})
