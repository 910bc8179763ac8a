"""`kagectl watch`, `run` and `logs` of agents that an adapter understands: told for people, over restarts."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_goals import DONE, spawn

pytestmark = pytest.mark.e2e


def words(kaged: Kaged, *arguments: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "KAGE_SOCKET": str(kaged.socket), "KAGE_TOKEN_FILE": str(kaged.state / "owner.token")}
    return [sys.executable, "-m", "kagectl", *arguments], environment


def kagectl(kaged: Kaged, *arguments: str) -> tuple[int, str, str]:
    command, environment = words(kaged, *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def test_an_agent_is_told_turn_by_turn_and_logs_tell_the_same(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "step", "done", success=[DONE])
    kaged.wait(agent)
    code, out, err = kagectl(kaged, "watch", agent)
    assert (code, err) == (0, "")
    for part in (
        "turn    1\n",
        "tool    write:",
        "says    step 1 is done",
        "judged  turn 1: echo no done.txt",
        "end     succeeded",
    ):
        assert part in out, out
    assert kagectl(kaged, "logs", agent)[1] == out
    assert kagectl(kaged, "logs", agent, "--tail", "2")[1].splitlines() == out.splitlines()[-2:]
    assert kagectl(kaged, "logs", "--raw", agent)[1].startswith('{"type": "session"')


def test_a_watch_goes_on_over_the_death_of_the_daemon_without_a_line_missing_or_twice(tmp_path):
    with Kaged(tmp_path) as kaged:
        agent = spawn(kaged, tmp_path / "a", "step", "hang", "done", success=[DONE])
        command, environment = words(kaged, "watch", agent)
        seen = tmp_path / "seen.txt"
        with seen.open("wb") as out:
            watching = subprocess.Popen(command, env={**environment, "PYTHONUNBUFFERED": "1"}, stdout=out, stderr=out)
        try:
            eventually(lambda: "turn    2" in seen.read_text("utf-8"), "the second turn")
            kaged.restart()
            assert kagectl(kaged, "agent", "pause", "--now", agent)[0] == 0
            eventually(lambda: "paused  by a person" in seen.read_text("utf-8"), "the pause")
            assert kagectl(kaged, "agent", "resume", agent)[0] == 0
            assert watching.wait(DEADLINE_S) == 0
        finally:
            watching.kill()
            watching.wait()
        text = seen.read_text("utf-8")
        assert text.count("says    step 1 is done") == 1
        assert text.count("end     succeeded") == 1
        with seen.open("rb") as again:
            assert [line[10:] for line in kagectl(kaged, "watch", agent)[1].splitlines()] == [
                line.decode()[10:] for line in again.read().splitlines()
            ]


def test_run_tells_an_agent_for_people_unless_its_bytes_are_wanted(kaged, tmp_path):
    asks = Path(tmp_path / "talk.sh")
    asks.write_text("""echo '{"type":"message","text":"hello there"}'; echo why >&2; exit 3\n""", "utf-8")
    code, out, _ = kagectl(kaged, "run", "--adapter", "jsonl", "--", "sh", str(asks))
    assert code == 3
    assert "says    hello there" in out
    assert "err     why" in out
    assert kagectl(kaged, "run", "--raw", "--adapter", "jsonl", "--", "sh", str(asks))[1].startswith(
        '{"type":"message"'
    )


def test_a_watch_without_a_name_is_a_table(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "hang", success=[DONE])
    eventually(lambda: kaged.agent(agent).usage.input_tokens, "the turn to be under way")
    name = kaged.agent(agent).name
    head, *rows = kagectl(kaged, "watch", "--no-follow")[1].splitlines()
    assert head.split() == ["NAME", "STATE", "TURN", "PLAN", "TOKENS", "COST", "TIME", "FILES", "LAST"]
    row = next(row.split() for row in rows if row.startswith(name))
    assert row[1:6] == ["running", "0", "-", "1.0k", "$0.50"]
    kaged.end(agent)
