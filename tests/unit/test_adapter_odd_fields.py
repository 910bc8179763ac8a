"""Recorded lines of real agents with one field after another turned into something else: heard somehow, never fatal."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.adapters.registry import ADAPTERS
from kaged.domain.assignment import UNASSIGNED

RECORDED = sorted((Path(__file__).parents[1] / "golden" / "agents").glob("*.jsonl"))
ODD: list[object] = [[], {}, [1], {"a": 1}, None, -1, True, "x", [[]], 1e308]
KINDS = {
    "claude-agent": "acp",
    "claude": "claude-code",
    "codex-exec": "codex-exec",
    "codex-acp": "acp",
    "codex": "codex",
}
Place = tuple[str | int, ...]


def kind_of(recording: Path) -> str:
    return next((kind for name, kind in KINDS.items() if recording.name.startswith(name)), "acp")


def places(value: object, path: Place = ()) -> Iterator[Place]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2]):
            yield from places(item, (*path, index))


def with_odd(line: bytes, path: Place, odd: object) -> bytes:
    value = json.loads(line)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = odd
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize("recording", RECORDED, ids=lambda path: path.stem)
def test_a_field_of_another_type_is_never_fatal(recording):
    adapter, state, seen = ADAPTERS[kind_of(recording)], b"", set()
    for line in recording.read_bytes().splitlines(keepends=True):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            shape = (*sorted(value), str(value.get("type")), str(value.get("method")), str(value.get("subtype")))
            if shape not in seen:
                seen.add(shape)
                for path in list(places(value))[:60]:
                    for odd in ODD:
                        adapter.feed(state, with_odd(line, path, odd), final=False, task=UNASSIGNED)
        state = adapter.feed(state, line, final=False, task=UNASSIGNED).state


def test_a_refusal_is_found_by_the_calls_id_whatever_that_is():
    meta = [{"id": ["t1"], "permission_decision": {"decision": "reject"}}]
    block = {"type": "tool_result", "tool_use_id": ["t1"], "content": "x"}
    line = json.dumps({"type": "user", "message": {"content": [block]}, "tool_result_meta": meta}).encode() + b"\n"
    fed = ADAPTERS["claude-code"].feed(b"", line, final=False, task=UNASSIGNED)
    assert [signal.outcome for signal in fed.signals if getattr(signal, "kind", "") == "tool.finished"] == ["denied"]
