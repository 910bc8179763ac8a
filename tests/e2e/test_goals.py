"""Agents with a loop, through a real daemon: turns are judged, limits pause, people hold and resume, none is lost."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import json
import sys
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import goal_pb2, spec_pb2
from kaged.api.v1 import workspace_service_pb2 as workspace_pb
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_workspaces import stub
from tests.integration.workspace.repositories import git, repository

pytestmark = pytest.mark.e2e
LOOPING = str(Path(__file__).parents[1] / "fakes" / "looping.py")


def spawn(
    kaged: Kaged,
    folder: Path,
    *words: str,
    workspace: spec_pb2.Workspace | None = None,
    environment: dict[str, str] | None = None,
    guard: spec_pb2.Guard | None = None,
    **loop: object,
) -> str:
    folder.mkdir(exist_ok=True)
    spec = spec_pb2.AgentSpec(
        workspace=workspace,
        guard=guard,
        environment=environment,
        adapter="jsonl",
        command=[sys.executable, LOOPING, *words],
        working_directory=str(folder),
        goal="make the file",
        loop=goal_pb2.GoalLoop(**loop),  # type: ignore[arg-type]  # names are checked by protobuf
        restart=spec_pb2.RestartPolicy(backoff_off=True),
    )
    answer = kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec), timeout=DEADLINE_S)
    return answer.agent.id


def until(kaged: Kaged, agent: str, state: "pb.AgentState") -> pb.Agent:
    def look() -> pb.Agent | None:
        found = kaged.agent(agent)
        return found if found.state == state else None

    return eventually(look, f"state {pb.AgentState.Name(state)}")


def resume(kaged: Kaged, agent: str, **request: object) -> pb.Agent:
    asked = pb.ResumeAgentRequest(agent=agent, **request)  # type: ignore[arg-type]
    return kaged.agents.ResumeAgent(asked, timeout=DEADLINE_S).agent


def heard(folder: Path) -> list[str]:
    lines = (folder / "heard.txt").read_text("utf-8").splitlines() if (folder / "heard.txt").exists() else []
    return [message.get("text", "") for message in map(json.loads, lines) if message["type"] == "message"]


DONE = goal_pb2.Criterion(command="echo no done.txt yet; test -f done.txt")


def test_a_goal_is_worked_at_turn_after_turn_until_its_check_holds(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "step", "step", "done", success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_SUCCEEDED, "goal")
    assert (ended.progress.iterations, ended.progress.phase, ended.restarts) == (3, "over", 0)
    told = heard(tmp_path / "a")
    assert len(told) == 2
    assert "no done.txt yet" in told[0]
    assert "exit code 1" in told[0]
    judged = list(kaged.read(f'agent = "{agent}" AND type = "goal.judged"'))
    assert [event.meta.fact.goal_judged.verdict for event in judged] == ["next", "next", "succeeded"]


def test_a_limit_pauses_and_more_of_it_lets_the_same_session_go_on_with_the_words_of_a_person(kaged, tmp_path):
    agent = spawn(
        kaged, tmp_path / "a", "step", "step", "done", success=[DONE], limits=goal_pb2.GoalLimits(iterations=2)
    )
    paused = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert (paused.progress.paused_for, paused.progress.limit, paused.progress.iterations) == ("limit", "iterations", 2)
    pid = paused.run.pid
    found = refused(lambda: resume(kaged, agent))
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("add.iterations",))
    resume(kaged, agent, add=goal_pb2.GoalLimits(iterations=5), guidance="write done.txt now")
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations, ended.run.pid) == (pb.AGENT_STATE_SUCCEEDED, 3, pid)
    assert heard(tmp_path / "a")[-1].startswith("write done.txt now\n\nThe goal is not reached")


@pytest.mark.parametrize(("limit", "word"), [({"tokens": 1500}, "tokens"), ({"cost_microusd": 900_000}, "cost")])
def test_what_was_used_up_pauses_it_between_turns(kaged, tmp_path, limit, word):
    agent = spawn(kaged, tmp_path / "a", "burn", success=[DONE], limits=goal_pb2.GoalLimits(**limit))
    paused = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert (paused.progress.limit, paused.progress.iterations) == (word, 2)


@pytest.mark.parametrize("limit", [{"tokens": 500}, {"time_s": 0.5}])
def test_a_limit_that_is_reached_in_the_middle_of_a_turn_interrupts_it(kaged, tmp_path, limit):
    agent = spawn(kaged, tmp_path / "a", "hang", success=[DONE], limits=goal_pb2.GoalLimits(**limit))
    paused = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert paused.progress.paused_for == "limit"


def test_a_pause_waits_for_the_end_of_the_turn_or_interrupts_it(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "hang", "done", success=[DONE])
    eventually(lambda: kaged.agent(agent).usage.turns == 1, "the turn to begin")
    waiting = kaged.agents.PauseAgent(pb.PauseAgentRequest(agent=agent), timeout=DEADLINE_S).agent
    assert (waiting.state, waiting.progress.pause_wanted) == (pb.AGENT_STATE_RUNNING, True)
    kaged.agents.PauseAgent(pb.PauseAgentRequest(agent=agent, now=True), timeout=DEADLINE_S)
    paused = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert paused.progress.paused_for == "user"
    resume(kaged, agent)
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    assert refused(lambda: resume(kaged, agent)).reason == "AGENT_NOT_RUNNING"


@pytest.mark.parametrize(("word", "reason"), [("fail", "errors"), ("same", "repeats")])
def test_work_that_leads_nowhere_is_given_up(kaged, tmp_path, word, reason):
    agent = spawn(kaged, tmp_path / "a", word, success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason) == (pb.AGENT_STATE_FAILED, "aborted")
    assert (ended.progress.last_verdict, ended.progress.iterations) == (reason, 3)


def test_an_agent_that_dies_in_the_middle_of_a_turn_goes_on_and_no_turn_is_counted(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "step", "die", "done", success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations, ended.restarts) == (pb.AGENT_STATE_SUCCEEDED, 2, 1)


def test_a_program_that_ends_after_each_turn_is_started_for_the_next(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "leave", "leave", "done", success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations, ended.run.attempt) == (pb.AGENT_STATE_SUCCEEDED, 3, 3)
    assert ended.restarts == 0


def test_a_plain_program_is_run_until_the_goal_is_reached_and_told_what_failed(kaged, tmp_path):
    script = 'echo "$KAGE_ITERATION: $KAGE_FEEDBACK" >> seen.txt; [ $KAGE_ITERATION -lt 3 ] || touch done.txt'
    spec = spec_pb2.AgentSpec(
        command=["sh", "-c", script],
        working_directory=str(tmp_path),
        goal="make the file",
        loop=goal_pb2.GoalLoop(success=[DONE]),
    )
    agent = kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec), timeout=DEADLINE_S).agent
    assert agent.spec.loop.run_is_turn
    ended = kaged.wait(agent.id)
    assert (ended.state, ended.progress.iterations) == (pb.AGENT_STATE_SUCCEEDED, 3)
    seen = (tmp_path / "seen.txt").read_text("utf-8")
    assert "1: \n" in seen
    assert "no done.txt yet" in seen


def test_a_limit_that_cannot_be_measured_is_refused(kaged, tmp_path):
    spec = spec_pb2.AgentSpec(
        command=["true"],
        working_directory=str(tmp_path),
        goal="x",
        loop=goal_pb2.GoalLoop(limits=goal_pb2.GoalLimits(cost_microusd=1)),
    )
    found = refused(lambda: kaged.agents.SpawnAgent(pb.SpawnAgentRequest(spec=spec), timeout=DEADLINE_S))
    assert found.fields == ("spec.loop.limits.cost_microusd",)


def test_a_daemon_that_is_killed_while_it_judges_judges_again_and_leaves_no_check_behind(kaged, tmp_path):
    folder = tmp_path / "a"
    slow = goal_pb2.Criterion(
        command="echo $$ >> checks.txt; while ! test -f go; do sleep 0.05; done; test -f done.txt"
    )
    agent = spawn(kaged, folder, "done", success=[slow])
    eventually(lambda: (folder / "checks.txt").exists(), "the check to begin")
    kaged.kill()
    kaged.start()
    eventually(lambda: len((folder / "checks.txt").read_text("utf-8").split()) == 2, "the check to begin again")
    first, _ = (folder / "checks.txt").read_text("utf-8").split()
    eventually(lambda: not Path(f"/proc/{first}").exists(), "the first check to be gone")
    (folder / "go").touch()
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations) == (pb.AGENT_STATE_SUCCEEDED, 1)


def test_a_stop_ends_it_while_it_is_judged_and_a_paused_one_stays_paused_over_a_restart(kaged, tmp_path):
    judged = spawn(kaged, tmp_path / "a", "done", success=[goal_pb2.Criterion(command="touch began; sleep 600")])
    eventually(lambda: (tmp_path / "a" / "began").exists(), "the check to begin")
    held = spawn(kaged, tmp_path / "b", "step", success=[DONE], limits=goal_pb2.GoalLimits(iterations=1))
    until(kaged, held, pb.AGENT_STATE_PAUSED)
    kaged.agents.StopAgent(pb.StopAgentRequest(agent=judged), timeout=DEADLINE_S)
    assert kaged.wait(judged).state == pb.AGENT_STATE_CANCELLED
    kaged.restart()
    assert kaged.agent(held).state == pb.AGENT_STATE_PAUSED
    resume(kaged, held, add=goal_pb2.GoalLimits(iterations=1))
    eventually(lambda: kaged.agent(held).progress.iterations == 2, "another turn")


def test_after_every_so_many_turns_the_worktree_is_kept_as_it_is(kaged, tmp_path):
    repo = repository(tmp_path / "repo", **{"a.txt": "zero\n"})
    place = spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE)
    agent = spawn(kaged, repo, "step", "step", "step", "done", workspace=place, success=[DONE], checkpoint_every=2)
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations) == (pb.AGENT_STATE_SUCCEEDED, 4)
    kept = [git(repo, "show", f"refs/kage/snapshots/{agent}/{number}:work.txt") for number in (1, 2)]
    assert kept == ["line 1\nline 2", "line 1\nline 2\nline 3"]
    types = [event.meta.type for event in kaged.read(f'agent = "{agent}"')]
    assert types.index("workspace.snapshotted") < [i for i, name in enumerate(types) if name == "goal.judged"][1]
    assert not (repo / "work.txt").exists()


def test_files_are_put_back_to_a_checkpoint_of_a_paused_agent_which_is_told_and_nothing_is_lost(kaged, tmp_path):
    repo = repository(tmp_path / "repo", **{"a.txt": "zero\n"})
    agent = spawn(
        kaged, repo, "step", "step", "step", "done", success=[DONE], checkpoint_every=1,
        workspace=spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE), limits=goal_pb2.GoalLimits(iterations=3),
    )  # fmt: skip
    held = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    place = Path(held.workspace.path)
    found = snapshots(kaged, agent)
    assert [(each.number, each.turn, each.note) for each in found] == [(n, n, f"After turn {n}") for n in (1, 2, 3)]
    assert {each.native_session for each in found} == {held.usage.native_session}
    (then,) = [kaged.read(f'agent = "{agent}" AND seq = {each.seq}') for each in found[:1]]
    assert [event.meta.type for event in then] == ["workspace.snapshotted"]
    (place / "work.txt").write_text("ruined\n")
    (place / "new.txt").write_text("new\n")

    request = workspace_pb.RestoreWorkspaceRequest(agent=agent, number=1, request_id="r-1")
    done = stub(kaged).RestoreWorkspace(request, timeout=DEADLINE_S)
    assert ((place / "work.txt").read_text(), (place / "new.txt").exists()) == ("line 1\n", False)
    assert (done.number, done.turn, done.kept) == (1, 1, f"refs/kage/snapshots/{agent}/4")
    assert git(repo, "show", f"{done.kept}:work.txt") == "ruined"
    assert stub(kaged).RestoreWorkspace(request, timeout=DEADLINE_S) == done, "a repeat is the same"
    assert len(snapshots(kaged, agent)) == 4

    resume(kaged, agent, add=goal_pb2.GoalLimits(iterations=2), guidance="another way, please")
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    last = heard(place)[-1]
    assert last.startswith(
        "another way, please\n\nThe files in your folder were put back to how they were after turn 1"
    )
    stub(kaged).RestoreWorkspace(workspace_pb.RestoreWorkspaceRequest(agent=agent, number=4), timeout=DEADLINE_S)
    assert (place / "work.txt").read_text() == "ruined\n", "after its end as well"


def test_files_are_not_put_back_under_an_agent_at_work_nor_to_what_is_not_there(kaged, tmp_path):
    repo = repository(tmp_path / "repo", **{"a.txt": "zero\n"})
    place = spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE)
    agent = spawn(kaged, repo, "step", "hang", workspace=place, success=[DONE], checkpoint_every=1)
    eventually(lambda: kaged.agent(agent).usage.turns == 2, "the second turn")

    def restore(number: int) -> workspace_pb.RestoreWorkspaceResponse:
        asked = workspace_pb.RestoreWorkspaceRequest(agent=agent, number=number)
        return stub(kaged).RestoreWorkspace(asked, timeout=DEADLINE_S)

    assert refused(lambda: restore(1)).reason == "AGENT_AT_WORK"
    kaged.agents.PauseAgent(pb.PauseAgentRequest(agent=agent, now=True), timeout=DEADLINE_S)
    until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert refused(lambda: restore(9)).reason == "NO_SUCH_CHECKPOINT"
    assert restore(1).files


def snapshots(kaged: Kaged, agent: str) -> list[workspace_pb.WorkspaceSnapshot]:
    request = workspace_pb.GetWorkspaceSnapshotsRequest(agent=agent)
    return list(stub(kaged).GetWorkspaceSnapshots(request, timeout=DEADLINE_S).snapshots)


def test_a_checkpoint_of_a_folder_that_is_not_the_agents_own_is_refused(kaged, tmp_path):
    found = refused(lambda: spawn(kaged, tmp_path / "a", "done", success=[DONE], checkpoint_every=2))
    assert found.fields == ("spec.loop.checkpoint_every",)


def test_the_limit_of_an_account_holds_all_that_are_paid_for_with_it_and_they_go_on_by_themselves(kaged, tmp_path):
    words = ("limited", "done")
    first = spawn(kaged, tmp_path / "a", *words, success=[DONE], environment={"MODEL_API_KEY": "one"})
    waiting = until(kaged, first, pb.AGENT_STATE_WAITING)
    assert (waiting.waiting_for, waiting.progress.paused_for) == ("rate_limit", "rate_limit")
    assert waiting.progress.resume_time.seconds
    for agent in (
        first,
        spawn(kaged, tmp_path / "b", "step", "done", success=[DONE], environment={"MODEL_API_KEY": "one"}),
        spawn(kaged, tmp_path / "c", "step", "done", success=[DONE], environment={"MODEL_API_KEY": "two"}),
    ):
        ended = kaged.wait(agent)
        assert ended.state == pb.AGENT_STATE_SUCCEEDED, ended
    paused = [event.meta.agent for event in kaged.read('type = "goal.paused"')]
    assert first in paused
    assert kaged.agent(first).progress.iterations == 1, "the turn that the limit ended is not counted"


def test_a_person_may_pause_one_that_waits_for_its_account(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "limited", "done", success=[DONE])
    until(kaged, agent, pb.AGENT_STATE_WAITING)
    kaged.agents.PauseAgent(pb.PauseAgentRequest(agent=agent), timeout=DEADLINE_S)
    held = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert (held.progress.paused_for, held.progress.resume_time.seconds) == ("user", 0)
    resume(kaged, agent)
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED


def test_a_limit_that_is_told_before_the_turn_that_it_ends_counts_as_well(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "step", "early", "done", success=[DONE])
    waiting = until(kaged, agent, pb.AGENT_STATE_WAITING)
    assert (waiting.waiting_for, waiting.progress.iterations) == ("rate_limit", 1)
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations) == (pb.AGENT_STATE_SUCCEEDED, 2)


def test_one_that_may_not_sign_in_is_held_at_once_and_a_new_process_goes_on_with_its_session(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "barred", "barred", "done", success=[DONE])
    held = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    progress = held.progress
    assert (progress.paused_for, progress.failure, progress.failure_detail) == ("failure", "auth", "it did not work")
    assert (progress.iterations, held.restarts) == (0, 0), "a turn that could not be tried is not counted"
    (paused,) = kaged.read(f'agent = "{agent}" AND type = "goal.paused"')
    assert paused.meta.fact.goal_paused.failure == "auth"
    resume(kaged, agent)
    again = eventually(
        lambda: (found := kaged.agent(agent)).progress.paused_for and found.run.attempt == 2 and found,
        "the second hold",
    )
    assert again.progress.paused_for == "failure"
    resume(kaged, agent, guidance="the key is in place now")
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations, ended.restarts) == (pb.AGENT_STATE_SUCCEEDED, 1, 0)
    assert (ended.run.attempt, ended.usage.native_session) == (3, held.usage.native_session)


def test_a_turn_in_which_nothing_could_be_done_is_no_reason_for_a_checkpoint(kaged, tmp_path):
    repo = repository(tmp_path / "repo", **{"a.txt": "zero\n"})
    place = spec_pb2.Workspace(kind=spec_pb2.WORKSPACE_KIND_WORKTREE)
    agent = spawn(kaged, repo, "step", "barred", workspace=place, success=[DONE], checkpoint_every=1)
    until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert [each.turn for each in snapshots(kaged, agent)] == [1]


def test_a_session_with_no_room_left_is_followed_by_a_new_one_and_its_turn_is_counted(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "step", "full", "done", success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.progress.iterations, ended.restarts) == (pb.AGENT_STATE_SUCCEEDED, 3, 0)
    begun = [event.meta.fact.signal for event in kaged.read(f'agent = "{agent}" AND type = "signal.session.started"')]
    assert len({fact.native_session for fact in begun}) == len(begun) == 2
    judged = [event.meta.fact.goal_judged.why for event in kaged.read(f'agent = "{agent}" AND type = "goal.judged"')]
    assert judged == ["criteria", "context_exhausted", "criteria"]


def test_sessions_that_are_full_at_once_are_given_up_like_other_failed_turns(kaged, tmp_path):
    agent = spawn(kaged, tmp_path / "a", "full", success=[DONE])
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason, ended.progress.last_verdict) == (
        pb.AGENT_STATE_FAILED, "aborted", "errors",
    )  # fmt: skip


@pytest.mark.parametrize("word", ["forbid", "break"])
def test_an_agent_that_did_what_is_forbidden_is_held_with_the_rule_until_a_person_lets_it_go_on(kaged, tmp_path, word):
    agent = spawn(kaged, tmp_path / "a", word, "done", success=[DONE], guard=spec_pb2.Guard(approve="none"))
    held = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    rule = "commands.recursive-delete"
    assert (held.progress.paused_for, held.progress.rule, held.flagged) == ("guard", rule, rule)
    (paused,) = kaged.read(f'agent = "{agent}" AND type = "goal.paused"')
    assert (paused.meta.fact.goal_paused.cause, paused.meta.fact.goal_paused.rule) == ("guard", rule)
    on = resume(kaged, agent, guidance="leave /srv alone")
    assert (on.progress.rule, on.flagged) == ("", "")
    assert kaged.wait(agent).state == pb.AGENT_STATE_SUCCEEDED
    assert heard(tmp_path / "a")[-1].startswith("leave /srv alone")


def test_an_agent_that_is_held_by_a_guardrail_stays_so_across_a_crash_of_the_daemon(tmp_path):
    with Kaged(tmp_path) as daemon:
        agent = spawn(daemon, tmp_path / "a", "forbid", "done", success=[DONE], guard=spec_pb2.Guard(approve="none"))
        eventually(lambda: daemon.agent(agent).progress.rule, "the wish to hold it")
        daemon.kill()
        daemon.start()
        assert until(daemon, agent, pb.AGENT_STATE_PAUSED).progress.paused_for == "guard"
        resume(daemon, agent)
        assert daemon.wait(agent).state == pb.AGENT_STATE_SUCCEEDED


def test_the_projects_own_tests_decide_by_their_exit_status_and_not_by_being_there(kaged, tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "Makefile").write_text("test:\n\t@echo looking for done.txt\n\ttest -f done.txt\n")
    agent = spawn(kaged, folder, "step", "step", "done", success=[goal_pb2.Criterion(tests=True)])
    ended = kaged.wait(agent)
    assert (ended.state, ended.outcome.reason, ended.progress.iterations) == (pb.AGENT_STATE_SUCCEEDED, "goal", 3)
    assert "looking for done.txt" in heard(folder)[0]


def test_a_project_without_tests_has_none_that_pass(kaged, tmp_path):
    agent = spawn(
        kaged,
        tmp_path / "a",
        "done",
        success=[goal_pb2.Criterion(tests=True)],
        limits=goal_pb2.GoalLimits(iterations=1),
    )
    paused = until(kaged, agent, pb.AGENT_STATE_PAUSED)
    assert (paused.progress.paused_for, paused.progress.limit) == ("limit", "iterations")
    (judged,) = kaged.read(f'agent = "{agent}" AND type = "goal.judged"')
    assert [check.passed for check in judged.meta.fact.goal_judged.checks] == [False]
