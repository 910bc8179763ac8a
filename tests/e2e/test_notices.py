"""People are told when an agent needs them: by a hook and by a webhook, through a real daemon."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import goal_pb2, spec_pb2
from tests.e2e.daemon_kit import Kaged, eventually
from tests.e2e.test_goals import DONE, until
from tests.e2e.test_goals import spawn as spawn_looping
from tests.e2e.test_guardrails import answer, open_question, shell, spawn

pytestmark = pytest.mark.e2e
ALWAYS = spec_pb2.Guard(approve="always")


def configured(folder: Path, text: str) -> Kaged:
    (folder / "state").mkdir(parents=True, exist_ok=True)
    (folder / "state" / "kaged.toml").write_text(text, "utf-8")
    return Kaged(folder)


@contextmanager
def listening(*statuses: int) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server on loopback that answers with these statuses, then with 204; what it was told."""
    told: list[dict[str, str]] = []
    answers = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HOOK = """
[notify]
command = '''
cat >> {out}
printf "\\n%s|%s|%s|%s\\n" "$KAGE_NOTIFY_REASON" "$KAGE_NOTIFY_NAME" "$KAGE_NOTIFY_ID" "$KAGE_NOTIFY_TEXT" >> {out}
'''
"""


def lines(out: Path) -> list[str]:
    text = out.read_text("utf-8") if out.exists() else ""
    return [line for line in text.splitlines() if "|" in line and not line.startswith("{")]


def test_a_hook_hears_of_an_approval_of_an_end_and_of_a_pause(tmp_path):
    out = tmp_path / "told.txt"
    with configured(tmp_path / "k", HOOK.format(out=out)) as kaged:
        agent = spawn(kaged, tmp_path / "w", shell("make test"), guard=ALWAYS)
        question = open_question(kaged, agent)
        name = kaged.agent(agent).name
        eventually(lambda: f"approval|{name}|{question.id}|bash" in lines(out), "the approval")
        answer(kaged, question, approve=True)
        kaged.wait(agent)
        eventually(lambda: f"finished|{name}||succeeded" in lines(out), "the end")
        held = spawn_looping(kaged, tmp_path / "g", "step", success=[DONE], limits=goal_pb2.GoalLimits(iterations=1))
        until(kaged, held, pb.AGENT_STATE_PAUSED)
        eventually(lambda: f"paused|{kaged.agent(held).name}||limit: iterations" in lines(out), "the pause")
        bad = kaged.spawn("sh", "-c", "exit 3")
        kaged.wait(bad)
        eventually(lambda: any(line.startswith("failed|") and line.endswith("3") for line in lines(out)), "the failure")
        first = json.loads(out.read_text("utf-8").splitlines()[0])
        assert (first["reason"], first["agent"], first["id"], first["namespace"]) == (
            "approval", agent, question.id, "default",
        )  # fmt: skip


def test_a_webhook_is_tried_again_and_only_told_of_the_reasons_that_were_asked_for(tmp_path):
    with listening(503) as (url, told):
        text = f'[notify]\nwebhook = "{url}"\nreasons = ["failed"]\n'
        with configured(tmp_path / "k", text) as kaged:
            kaged.wait(kaged.spawn("true"))
            bad = kaged.spawn("sh", "-c", "exit 3")
            kaged.wait(bad)
            eventually(lambda: len(told) == 2, "the second try")
            assert [each["reason"] for each in told] == ["failed", "failed"]
            assert {each["agent"] for each in told} == {bad}


def test_what_is_open_is_summed_up_when_a_daemon_starts(tmp_path):
    with listening() as (url, told), configured(tmp_path / "k", "") as kaged:
        agents = [spawn(kaged, tmp_path / name, shell("make"), guard=ALWAYS) for name in ("a", "b")]
        for agent in agents:
            open_question(kaged, agent)
        (kaged.state / "kaged.toml").write_text(f'[notify]\nwebhook = "{url}"\n', "utf-8")
        kaged.restart()
        eventually(lambda: told, "the sum")
        assert (told[0]["reason"], told[0]["text"]) == ("approval", "2 actions wait for an answer")
        for agent in agents:
            kaged.end(agent)
        assert len(told) == 1


def test_a_hook_that_hangs_is_ended_and_holds_up_neither_agents_nor_the_stop(tmp_path):
    mark = tmp_path / "began"
    text = f"[notify]\ncommand = 'echo x >> {mark}; sleep 300'\ntimeout = \"1s\"\n"
    with configured(tmp_path / "k", text) as kaged:
        for _ in range(2):
            kaged.wait(kaged.spawn("true"))
        eventually(lambda: mark.exists() and mark.read_text("utf-8") == "x\nx\n", "the second after the first")
        assert "notify_failed way=hook" in kaged.words()
        assert kaged.stop(deadline_s=20) == 0


def test_a_reload_changes_who_is_told_and_a_wrong_table_is_refused(tmp_path):
    with configured(tmp_path / "k", "") as kaged, listening() as (url, told):
        (kaged.state / "kaged.toml").write_text('[notify]\nwebhook = "http://example.org/"\n', "utf-8")
        assert kaged.process is not None
        kaged.process.send_signal(1)
        eventually(lambda: "reload_refused" in kaged.words(), "the refusal")
        (kaged.state / "kaged.toml").write_text(f'[notify]\nwebhook = "{url}"\n', "utf-8")
        kaged.process.send_signal(1)
        eventually(lambda: "reloaded applied" in kaged.words(), "the reload")
        kaged.wait(kaged.spawn("true"))
        eventually(lambda: told, "the notice")
        assert told[0]["reason"] == "finished"
