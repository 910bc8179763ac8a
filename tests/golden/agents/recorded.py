"""Recorded runs of real agents as their adapters hear them.

`NAME.jsonl` holds one message a line: `{"t": seconds, "dir": "in" (to the agent) or "out", "msg": ...}`, shortened and
without the recorder's paths. `NAME.heard` holds what its adapter made of it, a signal a line. After a change that is
meant: `python -m tests.golden.agents.rewrite`, and look at what git says.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kaged.adapters.registry import ADAPTERS
from kaged.domain.assignment import Assignment
from kaged.domain.signals import Ask, Fed, Heard, Signal, Unask

HERE: Final = Path(__file__).parent
KINDS: Final = {"claude-": "claude-code", "codex-exec": "codex-exec", "codex-app": "codex", "acp-": "acp"}
TASK: Final = Assignment(run="0001.1", command=("agent",), working_directory="/work", goal="as recorded")


def names() -> list[str]:
    """All recorded runs."""
    return sorted(path.stem for path in HERE.glob("*.jsonl"))


def adapter_of(name: str) -> str:
    """Name of the adapter for a recorded run."""
    return next(adapter for prefix, adapter in KINDS.items() if name.startswith(prefix))


def messages(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Direction and message. Answers to the recorder's requests carry the ids that ours would have had."""
    lines = (json.loads(line) for line in (HERE / f"{name}.jsonl").read_text().splitlines())
    found = [(line["dir"], line["msg"]) for line in lines]
    ours = {msg["id"]: _id(msg) for way, msg in found if way == "in" and "method" in msg and "id" in msg}
    for way, msg in found:
        if way == "out" and "id" in msg and "method" not in msg:
            msg["id"] = ours[msg["id"]]
    return found


def _id(msg: dict[str, Any]) -> int:
    """The recorder counted in the same way, but for requests that are neither a greeting, a session nor a prompt."""
    prompts = ("initialize", "thread/start", "thread/resume", "session/new", "session/load", "turn/start")
    return int(msg["id"]) if msg["method"] in (*prompts, "session/prompt") else -int(msg["id"])


def output(name: str) -> bytes:
    """What the agent printed."""
    return b"".join(json.dumps(msg).encode() + b"\n" for way, msg in messages(name) if way == "out")


def task_of(name: str) -> Assignment:
    """What the run was given to do; those that go on with a session say so in their name."""
    resumed = name.endswith(("-load", "resume-2"))
    return replace(TASK, session="an-earlier-session", turns=1) if resumed else TASK


def hear(name: str) -> Fed:
    """All of it at once."""
    return ADAPTERS[adapter_of(name)].feed(b"", output(name), final=True, task=task_of(name))


def shown(fed: Fed) -> str:
    """A signal a line, for people; then what was said to the agent."""
    lines = [*map(_line, fed.signals), *("> " + line for line in fed.sends.decode().splitlines())]
    return "".join(f"{line}\n" for line in [*lines, *(["(done)"] if fed.done else [])])


def _line(signal: Signal) -> str:
    match signal:
        case Heard():
            short = {name: getattr(signal, name) for name in ("text", "tool", "call", "outcome", "parent")}
            short |= {"session": signal.native_session, "data": signal.data_json, "resets_us": signal.resets_us}
            if signal.kind == "usage":
                short |= {"in": signal.input_tokens, "out": signal.output_tokens, "microusd": signal.cost_microusd}
            return f"{signal.turn} {signal.kind}{_pairs(short)}"
        case Ask():
            short = {"key": signal.key, "tool": signal.tool, "title": signal.title, "why": signal.why}
            return f"? {signal.kind}{_pairs(short | {'data': signal.data_json})}"
        case Unask():
            return f"? withdrawn key={signal.key!r}"


def _pairs(values: dict[str, Any]) -> str:
    return "".join(f" {name}={_cut(value)!r}" for name, value in values.items() if value)


def _cut(value: Any) -> Any:
    return value[:300] + "…" if isinstance(value, str) and len(value) > 300 else value
