"""The protocol's document and the examples keep what they show: all of it is fed to the real adapter."""

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kaged.adapters.jsonl import JsonlAdapter
from kaged.domain.signals import Ask, Heard

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
DOCUMENT = (ROOT / "docs" / "jsonl-protocol.md").read_text()


def test_every_line_of_the_document_is_understood():
    lines = "".join(re.findall(r"```jsonl agent\n(.*?)```", DOCUMENT, re.DOTALL))
    fed = JsonlAdapter().feed(b"", lines.encode(), final=True)
    assert len(fed.signals) == lines.count("\n") > 5
    assert not [signal for signal in fed.signals if isinstance(signal, Heard) and signal.kind in ("unknown", "garbled")]


def test_every_type_of_the_document_is_known():
    table = DOCUMENT.partition("## From the agent to Kage")[2].partition("\n## ")[0]
    _, *types = re.findall(r"^\| `([a-z._]+)` \|", table, re.MULTILINE)  # the first is the head
    assert len(types) == 16
    for name in types:
        (signal, *_) = JsonlAdapter().feed(b"", json.dumps({"type": name, "id": "x"}).encode(), final=True).signals
        assert not (isinstance(signal, Heard) and signal.kind in ("unknown", "garbled"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, ROOT / "examples" / "agent.py"], id="python"),
        pytest.param(
            [NODE, ROOT / "examples" / "agent.mjs"],
            id="node",
            marks=[pytest.mark.node, pytest.mark.skipif(NODE is None, reason="needs Node.js")],
        ),
    ],
)
@pytest.mark.parametrize("outcome", ["approved", "denied", "nobody"])
def test_an_example_asks_and_does_what_it_is_told(command, outcome, tmp_path):
    adapter = JsonlAdapter()
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        guard = threading.Timer(60, agent.kill)
        guard.start()
        try:
            signals, state = [], b""
            for line in agent.stdout:
                fed = adapter.feed(state, line, final=False)
                state, signals = fed.state, [*signals, *fed.signals]
                if not isinstance(fed.signals[-1], Ask):
                    continue
                if outcome == "nobody":
                    agent.stdin.close()
                else:
                    agent.stdin.write(adapter.message("hello") + adapter.answer(fed.signals[-1], outcome, "so be it"))
                    agent.stdin.flush()
            assert agent.wait() == 0
        finally:
            guard.cancel()
    kinds = [signal.kind for signal in signals if isinstance(signal, Heard)]
    assert not {"garbled", "unknown", "error"} & set(kinds)
    assert kinds[0] == "session.started"
    assert kinds[-3:] == ["usage", "message", "turn.ended"]
    assert signals[-3].cost_microusd == 4_200
    assert (tmp_path / "notes.txt").exists() == (outcome == "approved")
    assert ("so be it" in signals[-2].text) == (outcome != "nobody")
