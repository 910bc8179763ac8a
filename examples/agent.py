#!/usr/bin/env python3
"""A whole agent in thirty lines: it speaks jsonl (docs/jsonl-protocol.md), works in turns, and asks before it acts.

kagectl run --adapter jsonl -- python3 examples/agent.py
kagectl approval list                      # in another terminal
kagectl approval approve …
"""

import json
import os
import sys


def tell(kind: str, **fields: object) -> None:
    print(json.dumps({"type": kind, **fields}), flush=True)  # noqa: T201  # one object, one line, at once


def ask(key: str, title: str, **fields: object) -> dict[str, str]:
    tell("approval.request", id=key, title=title, **fields)
    for line in sys.stdin:  # other lines (messages, answers to other questions) are not for us
        heard: dict[str, str] = json.loads(line)
        if heard.get("type") == "approval.answer" and heard.get("id") == key:
            return heard
    return {"outcome": "denied", "note": "nobody is there to ask"}


tell("session", version=1, id=f"example-{os.getpid()}")
tell("turn.started")
tell("plan", items=[{"text": "look around", "done": False}, {"text": "write notes.txt", "done": False}])
tell("tool.started", id="t1", tool="ls", input={"path": "."})
tell("tool.finished", id="t1", tool="ls", outcome="ok", output={"entries": len(os.listdir())})
answer = ask("q1", "write notes.txt", tool="write", input={"path": "notes.txt"}, why="to remember", timeout_s=3600)
if answer["outcome"] == "approved":
    with open("notes.txt", "a") as notes:
        notes.write("Kage said yes\n")
tell("usage", input_tokens=1200, output_tokens=80, cost_usd=0.0042)
tell("message", text=f"The answer was {answer['outcome']}. {answer['note']}".strip())
tell("turn.ended", outcome="ok")
