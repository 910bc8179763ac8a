"""What the tour of the README claims: a real Claude Code under an approval and a limit; daemon and agent are killed."""

import pytest

from tests.agents.programs import needs
from tests.agents.tour import GOAL, GUIDANCE, go_on, kill_both, touring, until_it_asks

pytestmark = [pytest.mark.agents, pytest.mark.timeout(600), needs("claude")]


def test_a_real_claude_code_outlives_a_kill_of_itself_and_of_the_daemon_under_an_approval_and_a_limit() -> None:
    with touring() as tour:
        until_it_asks(tour)
        first = tour.ask("agent", "show", "fix")
        (asked,) = tour.ask("approval", "list")
        assert "git commit" in asked["title"]
        # A branch of its own, and nothing on it before the answer.
        assert tour.git("rev-parse", "kage/fix") == tour.git("rev-parse", "main")

        kill_both(tour)
        second = tour.ask("agent", "show", "fix")
        assert second["run"]["attempt"] == 2
        assert second["run"]["pid"] != first["run"]["pid"]
        assert second["usage"]["native_session"] == first["usage"]["native_session"]
        (again,) = tour.ask("approval", "list")
        assert (again["id"] != asked["id"], again["title"]) == (True, asked["title"])
        assert tour.git("rev-parse", "kage/fix") == tour.git("rev-parse", "main")

        go_on(tour)
        ended = tour.ask("agent", "show", "fix")
        assert (ended["state"], ended["outcome"]["reason"], ended["restarts"]) == ("succeeded", "goal", 1)
        assert (ended["progress"]["iterations"], ended["run"]["attempt"]) == (3, 2)
        assert [event["meta"]["type"] for event in tour.events("approval")] == [
            *("approval.requested", "approval.withdrawn", "approval.requested", "approval.answered"),
        ]
        assert [event["meta"]["type"] for event in tour.events("goal")] == [
            *("goal.judged", "goal.judged", "goal.paused", "goal.resumed", "goal.judged"),
        ]
        told = [event["body"]["input"] for event in tour.events("input.accepted")]
        assert sum(GOAL in str(words) for words in told) == 1  # the goal is not said again after the kill
        assert sum(GUIDANCE in str(words) for words in told) == 1
        shown = tour.transcript()
        assert "paused" in shown
        assert "fix succeeded (goal)" in shown
        assert tour.typed[-1].output.strip() == "OK"
        assert [each.command for each in tour.typed if each.code] == ["kagectl ps"]  # the one without a daemon
        assert "a-secret-key" not in shown
        assert tour.git("status", "--porcelain") == ""
