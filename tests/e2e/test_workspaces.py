"""Agents in worktrees and copies, through a real kaged: made before the first run, merged, kept, taken away."""

# mypy: disable-error-code="no-untyped-call,no-any-return,arg-type"
# (generated stubs are untyped; a spec's fields come as a table)

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2, spec_pb2, workspace_service_pb2, workspace_service_pb2_grpc
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.integration.workspace.repositories import commit, git, repository, user_state

pytestmark = pytest.mark.e2e
WORKTREE = spec_pb2.WORKSPACE_KIND_WORKTREE
COPY = spec_pb2.WORKSPACE_KIND_COPY
RUNNING = agent_service_pb2.AGENT_STATE_RUNNING
FAILED = agent_service_pb2.AGENT_STATE_FAILED
SUCCEEDED = agent_service_pb2.AGENT_STATE_SUCCEEDED


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    with Kaged(tmp_path / "kaged") as daemon:
        yield daemon


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", **{"a.txt": "zero\n", "b.txt": "b\n"})


def spawn(kaged: Kaged, repo: Path, script: str, *, name: str = "web", kind: int = WORKTREE, **more: object) -> str:
    spec = {
        key: more.pop(key)
        for key in list(more)
        if key not in ("base", "branch", "setup", "cleanup", "copy", "repository")
    }
    place = spec_pb2.Workspace(kind=kind, **more)
    return kaged.spawn("sh", "-c", script, name=name, working_directory=str(repo), workspace=place, **spec)


def stub(kaged: Kaged) -> workspace_service_pb2_grpc.WorkspaceServiceStub:
    return workspace_service_pb2_grpc.WorkspaceServiceStub(kaged.channel)


def diff(kaged: Kaged, agent: str) -> workspace_service_pb2.GetWorkspaceDiffResponse:
    return stub(kaged).GetWorkspaceDiff(workspace_service_pb2.GetWorkspaceDiffRequest(agent=agent), timeout=DEADLINE_S)


def merge(kaged: Kaged, agent: str, **more: object) -> workspace_service_pb2.MergeWorkspaceResponse:
    request = workspace_service_pb2.MergeWorkspaceRequest(agent=agent, **more)
    return stub(kaged).MergeWorkspace(request, timeout=DEADLINE_S)


def remove(kaged: Kaged, agent: str, **more: bool) -> agent_service_pb2.RemovedWorkspace:
    request = agent_service_pb2.RemoveAgentRequest(agent=agent, **more)
    return kaged.agents.RemoveAgent(request, timeout=DEADLINE_S).workspace


def types_of(kaged: Kaged, agent: str, family: str = "workspace") -> list[str]:
    return [event.meta.type for event in kaged.read(f'agent = "{agent}"') if event.meta.type.startswith(f"{family}.")]


def pid_in(path: Path) -> int:
    """The first process id that was written there."""
    return int(eventually(lambda: path.read_text().split() if path.exists() else [])[0])


def gone(pid: int) -> bool:
    """Whether a process has ended; in a container its zombie may stay for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def reason(caught: "pytest.ExceptionInfo[grpc.RpcError]") -> str:
    return str(caught.value.details())


def test_an_agent_works_in_its_own_worktree_and_its_work_is_merged(kaged: Kaged, repo: Path) -> None:
    before = user_state(repo)
    agent = spawn(kaged, repo, 'pwd; echo "$KAGE_WORKSPACE"; echo work > a.txt; echo new > new.txt')
    state = kaged.wait(agent)
    assert state.state == SUCCEEDED
    place = str(kaged.state / "workspaces" / agent)
    assert kaged.output(agent) == f"{place}\n{place}\n".encode()
    assert (state.workspace.phase, state.workspace.branch, state.workspace.base) == ("made", "kage/web", "main")
    assert types_of(kaged, agent) == ["workspace.wanted", "workspace.made"]
    assert user_state(repo) == before
    found = diff(kaged, agent)
    assert [(item.path, item.status) for item in found.files] == [("a.txt", "modified"), ("new.txt", "added")]
    assert b"+work" in found.patch
    merged = merge(kaged, agent, request_id="once")
    assert merge(kaged, agent, request_id="once").commit == merged.commit == git(repo, "rev-parse", "main")
    assert (repo / "new.txt").read_text() == "new\n"
    left = remove(kaged, agent)
    assert (left.snapshot, left.kept_branch) == ("", "")
    assert not Path(place).exists()
    assert git(repo, "worktree", "list").count("\n") == 0
    assert types_of(kaged, agent)[2:] == ["workspace.merged", "workspace.removed"]


def test_work_that_was_not_merged_is_kept_and_named_when_its_agent_is_removed(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "echo work > a.txt")
    kaged.wait(agent)
    left = remove(kaged, agent)
    assert left.snapshot == f"refs/kage/snapshots/{agent}/1"
    assert git(repo, "show", f"{left.snapshot}:a.txt") == "work"
    assert types_of(kaged, agent) == [
        "workspace.wanted",
        "workspace.made",
        "workspace.snapshotted",
        "workspace.removed",
    ]
    kaged.restart()
    assert remove(kaged, agent).snapshot == left.snapshot


def test_a_workspace_stays_when_it_is_asked_to_also_after_a_restart(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "echo work > a.txt")
    kaged.wait(agent)
    path = Path(kaged.agent(agent).workspace.path)
    remove(kaged, agent, keep_workspace=True)
    kaged.restart()
    assert (path / "a.txt").read_text() == "work\n"
    assert kaged.agent(agent).workspace.phase == "kept"


def test_restarts_of_one_agent_go_on_in_the_same_place_and_setup_runs_once(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "echo run >> log; test $(wc -l < log) -ge 2", setup="echo setup >> log.setup",
                  restart=spec_pb2.RestartPolicy(type=spec_pb2.RESTART_TYPE_TRANSIENT, backoff_off=True))  # fmt: skip
    state = kaged.wait(agent)
    assert state.state == SUCCEEDED
    assert state.restarts == 1
    assert (Path(state.workspace.path) / "log.setup").read_text() == "setup\n"
    kaged.agents.RestartAgent(agent_service_pb2.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    kaged.wait(agent)
    assert (Path(state.workspace.path) / "log").read_text() == "run\nrun\nrun\n"


def test_a_setup_that_fails_fails_the_agent_with_its_words_and_no_endless_retry(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "true", setup="echo no such tool >&2; exit 9", secret_environment={"KEY": "hush-hush"})
    state = kaged.wait(agent)
    assert (state.state, state.outcome.reason) == (FAILED, "exec_failed")
    assert "setup ended with 9" in state.outcome.detail
    assert "no such tool" in state.outcome.detail
    assert types_of(kaged, agent, "run") == ["run.wanted", "run.ended"]
    assert types_of(kaged, agent) == ["workspace.wanted", "workspace.failed"]


def test_secrets_in_what_setup_prints_are_masked(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "true", setup='echo "key is $KEY"', secret_environment={"KEY": "hush-hush"})
    kaged.wait(agent)
    made = next(event for event in kaged.read(f'agent = "{agent}" AND type = "workspace.made"'))
    assert made.body.note == "key is *********"


def test_a_wish_that_cannot_be_met_is_refused_at_the_door(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for folder, more, words in (
        (tmp_path / "plain", {}, "not in a git repository"),
        (repo, {"base": "nothing"}, "no branch, tag or commit"),
        (repo, {"kind": COPY, "branch": "x"}, "is of a worktree"),
        (repo, {"setup": "a\0b"}, "without a NUL"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            spawn(kaged, folder, "true", **more)
        assert words in reason(caught)
    assert list(kaged.read('type = "agent.spawned"')) == []


def test_what_cannot_be_met_any_more_when_its_turn_comes_ends_the_agent_with_the_reason(
    kaged: Kaged, repo: Path
) -> None:
    agent = spawn(kaged, repo, "test -e a.txt && exit 3", restart=spec_pb2.RestartPolicy(
        type=spec_pb2.RESTART_TYPE_TRANSIENT, backoff_initial_s=0.3, backoff_max_s=0.3, intensity=2))  # fmt: skip
    kaged.wait_state(agent, agent_service_pb2.AGENT_STATE_WAITING)
    shutil.rmtree(kaged.state / "workspaces" / agent)
    shutil.move(repo, repo.with_name("elsewhere"))
    state = kaged.wait(agent)
    assert state.outcome.reason == "restarts_exhausted"
    assert "workspace:" in state.outcome.detail


def test_stopping_an_agent_ends_its_setup(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    agent = spawn(kaged, repo, "true", setup=f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    pid = pid_in(tmp_path / "pid")
    state = kaged.end(agent)
    assert state.state == agent_service_pb2.AGENT_STATE_CANCELLED
    eventually(lambda: gone(pid))


def test_stopping_kaged_in_the_middle_of_a_setup_does_not_wait_for_it(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    spawn(kaged, repo, "true", setup=f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    pid = pid_in(tmp_path / "pid")
    assert kaged.stop(deadline_s=20) == 0
    eventually(lambda: gone(pid))


def test_kill_9_in_the_middle_of_a_setup_ends_it_and_runs_it_again(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    agent = spawn(
        kaged,
        repo,
        "cat ready",
        setup=f"echo $$ >> {tmp_path}/pids; test -e {tmp_path}/go || sleep 1000; echo ok > ready",
    )
    pid = pid_in(tmp_path / "pids")
    kaged.kill()
    os.kill(pid, 0)  # it outlived the daemon
    (tmp_path / "go").touch()
    kaged.start()
    assert kaged.wait(agent).state == SUCCEEDED
    assert kaged.output(agent) == b"ok\n"
    assert gone(pid)
    assert len((tmp_path / "pids").read_text().split()) == 2


def test_kill_9_in_the_middle_of_a_checkout_makes_the_worktree_whole(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    slow = f"sh -c 'echo $$ >> {tmp_path}/pids; test -e {tmp_path}/go || sleep 1000; cat'"
    git(repo, "config", "filter.slow.smudge", slow)
    (repo / ".gitattributes").write_text("m.slow filter=slow\n")
    for name in ("0.txt", "z.txt"):
        (repo / name).write_text(name)
    commit(repo, "m.slow", "slow\n")
    agent = spawn(kaged, repo, "cat m.slow 0.txt z.txt; git status --porcelain")
    eventually(lambda: (tmp_path / "pids").exists())
    kaged.kill()
    (tmp_path / "go").touch()
    kaged.start()
    state = kaged.wait(agent)
    assert (state.state, kaged.output(agent)) == (SUCCEEDED, b"slow\n0.txtz.txt")
    assert len(git(repo, "worktree", "list").splitlines()) == 2
    eventually(lambda: all(gone(int(word)) for word in (tmp_path / "pids").read_text().split()))


def test_kill_9_between_a_removal_and_its_end_finishes_it(kaged: Kaged, repo: Path, tmp_path: Path) -> None:
    agent = spawn(
        kaged, repo, "echo work > a.txt", cleanup=f"echo x >> {tmp_path}/cleaning; test -e {tmp_path}/go || sleep 1000"
    )
    kaged.wait(agent)
    path = Path(kaged.agent(agent).workspace.path)
    removing = kaged.agents.RemoveAgent.future(agent_service_pb2.RemoveAgentRequest(agent=agent))
    eventually(lambda: (tmp_path / "cleaning").exists())
    kaged.kill()
    with pytest.raises(grpc.RpcError):
        removing.result(DEADLINE_S)
    assert (path / "a.txt").read_text() == "work\n"
    (tmp_path / "go").touch()
    kaged.start()
    eventually(lambda: kaged.agent(agent).workspace.phase == "removed")
    assert not path.exists()
    assert git(repo, "show", f"refs/kage/snapshots/{agent}/1:a.txt") == "work"


# `told`: nobody hears of turns of a plain command, so it takes up to half a minute
@pytest.mark.timeout(120)
def test_two_live_agents_that_touched_the_same_file_are_told_apart_and_of_each_other(kaged: Kaged, repo: Path) -> None:
    one = spawn(kaged, repo, "echo one > a.txt; exec sleep 1000", name="one")
    turn = 'echo two > a.txt; echo two > b.txt; read go; echo \'{"type":"turn.ended","outcome":"ok"}\'; exec sleep 1000'
    two = spawn(kaged, repo, turn, name="two", adapter="jsonl")
    request = workspace_service_pb2.GetOverlapsRequest()

    def overlaps() -> list[workspace_service_pb2.Overlap]:
        return list(stub(kaged).GetOverlaps(request, timeout=DEADLINE_S).overlaps)

    found = eventually(overlaps)
    assert [(set(item.agents), list(item.paths)) for item in found] == [({one, two}, ["a.txt"])]
    assert [list(item.paths) for item in diff(kaged, one).overlaps] == [["a.txt"]]
    kaged.send(two, b"go\n")
    for agent, other in ((one, two), (two, one)):
        told = eventually(
            lambda agent=agent: list(kaged.read(f'agent = "{agent}" AND type = "workspace.overlapped"')), deadline_s=60
        )
        assert [(event.meta.fact.workspace_overlapped.other, event.body.note) for event in told] == [(other, "a.txt")]
    with pytest.raises(grpc.RpcError) as caught:
        merge(kaged, one)
    assert "at work" in reason(caught)
    assert merge(kaged, one, live=True).kind == "fast_forward"
    kaged.end(two)
    with pytest.raises(grpc.RpcError) as caught:
        merge(kaged, two)
    assert "a.txt" in reason(caught)
    assert (repo / "a.txt").read_text() == "one\n"
    kaged.end(one)


def test_a_snapshot_can_be_asked_for_and_a_repeat_is_the_same(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "echo work > a.txt; exec sleep 1000")
    path = Path(kaged.wait_state(agent, RUNNING).workspace.path)
    eventually(lambda: (path / "a.txt").read_text() == "work\n")
    request = workspace_service_pb2.SnapshotWorkspaceRequest(agent=agent, request_id="snap")
    first = stub(kaged).SnapshotWorkspace(request, timeout=DEADLINE_S)
    (path / "a.txt").write_text("more\n")
    assert stub(kaged).SnapshotWorkspace(request, timeout=DEADLINE_S) == first
    assert git(repo, "show", f"{first.ref}:a.txt") == "work"
    assert kaged.agent(agent).workspace.snapshot == first.ref
    kaged.end(agent)


def test_a_copy_is_worked_in_and_the_original_stays(kaged: Kaged, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "sub").mkdir(parents=True)
    (plain / "sub/x").write_text("x\n")
    agent = spawn(kaged, plain, "echo y > sub/x", kind=COPY)
    assert kaged.wait(agent).state == SUCCEEDED
    assert (plain / "sub/x").read_text() == "x\n"
    assert [item.path for item in diff(kaged, agent).files] == ["sub/x"]
    assert remove(kaged, agent).snapshot


def test_agents_without_a_workspace_know_nothing_of_it(kaged: Kaged, repo: Path) -> None:
    agent = kaged.spawn("sh", "-c", "pwd", working_directory=str(repo), name="plain")
    state = kaged.wait(agent)
    assert not state.HasField("workspace")
    assert kaged.output(agent) == f"{repo}\n".encode()
    with pytest.raises(grpc.RpcError) as caught:
        diff(kaged, agent)
    assert "works in" in reason(caught)
    assert types_of(kaged, agent) == []
    remove(kaged, agent)
    assert repo.exists()


def test_what_was_made_is_known_again_after_a_restart_of_the_daemon(kaged: Kaged, repo: Path) -> None:
    agent = spawn(kaged, repo, "echo work > a.txt; exec sleep 1000")
    before = kaged.wait_state(agent, RUNNING).workspace
    kaged.restart()
    assert kaged.agent(agent).workspace == before
    kaged.end(agent)
    kaged.stop()
    assert kaged.fsck()[0] == 0
