"""What is left of a tree: children that came to rest, trees that have ended, trees that were deleted."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import signal
from pathlib import Path
from threading import Thread

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import supervisor_service_pb2 as pb
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.rows.rocks import RocksStore
from tests.e2e.api_words import head, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_offline import kaged_verb
from tests.e2e.tree_words import (
    ALL,
    TEMPORARY,
    TRANSIENT,
    apply,
    child,
    inner,
    node,
    phase,
    stop,
    story,
    supervisor,
    tree,
    up,
    verb,
)

pytestmark = pytest.mark.e2e

STOPPED, RUNNING = agents_pb.AGENT_STATE_STOPPED, agents_pb.AGENT_STATE_RUNNING
SUCCEEDED, CANCELLED = agents_pb.AGENT_STATE_SUCCEEDED, agents_pb.AGENT_STATE_CANCELLED


def _delete(kaged: Kaged, name: str, *, force: bool = False, request_id: str = "") -> pb.Tree:
    request = pb.DeleteTreeRequest(tree=name, force=force, request_id=request_id)
    return kaged.trees.DeleteTree(request, timeout=DEADLINE_S).tree


def _names(kaged: Kaged, *, show_ended: bool) -> list[str]:
    request = pb.ListTreesRequest(show_ended=show_ended, page_size=1000)
    return [found.name for found in kaged.trees.ListTrees(request, timeout=DEADLINE_S).trees]


# --- children that came to rest -----------------------------------------------------------------------------------


def test_a_terminated_child_is_stopped_tells_how_it_ended_and_is_waited_for(kaged):
    apply(kaged, "rest", supervisor(child("a"), child("b")))
    up(kaged, "rest")
    agent = node(kaged, "rest", "a").agent
    verb(kaged, "TerminateChild", "rest", "a")
    stopped = kaged.wait(agent)
    assert (stopped.state, stopped.waiting_for) == (STOPPED, "")
    assert (stopped.outcome.reason, stopped.outcome.signal) == ("stopped", signal.SIGTERM)
    assert stopped.run.phase == "ended"
    listed = kaged.agents.ListAgents(agents_pb.ListAgentsRequest(filter='state = "stopped"'), timeout=DEADLINE_S).agents
    assert agent in [found.id for found in listed]
    then = agents_pb.GetAgentRequest(agent=agent, at_seq=stopped.as_of_seq)
    assert kaged.agents.GetAgent(then, timeout=DEADLINE_S).agent == stopped
    other = refused(lambda: kaged.wait_state(agent, SUCCEEDED))
    assert (other.code, other.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_STOPPED")
    assert other.hint == "kagectl tree restart rest a"
    stop(kaged, "rest")
    assert kaged.wait(agent).state == CANCELLED


def test_a_wait_that_follows_the_wish_to_start_a_child_again_does_not_see_its_rest(kaged):
    apply(kaged, "again", supervisor(child("a")))
    up(kaged, "again")
    agent = node(kaged, "again", "a").agent
    for _ in range(5):
        verb(kaged, "TerminateChild", "again", "a")
        assert kaged.wait(agent).state == STOPPED
        verb(kaged, "RestartChild", "again", "a")
        assert kaged.wait_state(agent, RUNNING).state == RUNNING
        assert not kaged.agent(agent).HasField("outcome")
    stop(kaged, "again")


def test_a_wait_under_way_ends_when_the_child_comes_to_rest(kaged):
    apply(kaged, "under-way", supervisor(child("a")))
    up(kaged, "under-way")
    agent = node(kaged, "under-way", "a").agent
    found: list[agents_pb.Agent] = []
    waiter = Thread(target=lambda: found.append(kaged.wait(agent)))
    waiter.start()
    verb(kaged, "TerminateChild", "under-way", "a")
    waiter.join(DEADLINE_S)
    assert [answer.state for answer in found] == [STOPPED]
    stop(kaged, "under-way")


def test_all_below_a_terminated_supervisor_come_to_rest_and_start_again_with_it(kaged):
    apply(kaged, "below", supervisor(inner("middle", supervisor(child("a"), child("b"))), child("c")))
    up(kaged, "below")
    agents = [node(kaged, "below", path).agent for path in ("middle/a", "middle/b")]
    verb(kaged, "TerminateChild", "below", "middle")
    assert [kaged.wait(agent).state for agent in agents] == [STOPPED] * 2
    verb(kaged, "RestartChild", "below", "middle")
    assert [kaged.wait_state(agent, RUNNING).state for agent in agents] == [RUNNING] * 2
    stop(kaged, "below")


def test_nobody_is_said_to_rest_in_the_middle_of_a_restart_of_all(kaged):
    apply(kaged, "middle", supervisor(child("a"), child("b"), child("c"), strategy=ALL))
    pids = up(kaged, "middle")
    since = head(kaged)
    os.kill(pids["b"], signal.SIGKILL)
    eventually(lambda: ("child_exited", "b") in story(kaged, "middle", since), "the crash to be seen")
    up(kaged, "middle")
    assert [event.meta.agent for event in kaged.read('type = "agent.stopped"') if event.seq > since] == []
    stop(kaged, "middle")


def test_a_child_at_rest_is_at_rest_after_a_kill_9_and_starts_when_asked(kaged):
    apply(kaged, "kept", supervisor(child("done", "sh", "-c", "exit 0", restart=TRANSIENT), child("b")))
    agent = eventually(lambda: node(kaged, "kept", "done").agent, "the child")
    assert kaged.wait(agent).outcome.exit_code == 0
    kaged.restart()
    assert kaged.wait(agent).state == STOPPED
    since = head(kaged)
    verb(kaged, "RestartChild", "kept", "done")
    eventually(lambda: ("child_exited", "done") in story(kaged, "kept", since), "its second life")
    stop(kaged, "kept")


# --- trees that have ended ------------------------------------------------------------------------------------------


def test_an_ended_tree_is_listed_only_when_asked_for_and_costs_no_memory(kaged):
    for name in ("over-a", "over-b", "over-c"):
        apply(kaged, name, supervisor(child("a")))
    for name in ("over-a", "over-c"):
        stop(kaged, name)
    assert [name for name in _names(kaged, show_ended=False) if name.startswith("over")] == ["over-b"]
    everything = [name for name in _names(kaged, show_ended=True) if name.startswith("over")]
    assert everything == ["over-a", "over-b", "over-c"]
    kaged.restart()
    assert [name for name in _names(kaged, show_ended=True) if name.startswith("over")] == everything
    assert (tree(kaged, "over-a").phase, tree(kaged, "over-a").reason) == ("ended", "stopped")
    pages: list[str] = []
    token = "first"
    while token:
        request = pb.ListTreesRequest(page_size=1, show_ended=True, page_token="" if token == "first" else token)
        page = kaged.trees.ListTrees(request, timeout=DEADLINE_S)
        pages += [found.name for found in page.trees]
        token = page.next_page_token
    assert pages == _names(kaged, show_ended=True)
    stop(kaged, "over-b")


def test_an_ended_tree_answers_its_verbs_and_is_made_anew_after_a_restart_of_the_daemon(kaged):
    spec = supervisor(child("a"))
    apply(kaged, "dormant", spec)
    stop(kaged, "dormant")
    kaged.restart()
    before = head(kaged)
    assert kaged.trees.StopTree(pb.StopTreeRequest(tree="dormant"), timeout=DEADLINE_S).tree.phase == "ended"
    assert refused(lambda: verb(kaged, "RestartChild", "dormant", "a")).reason == "SUPERVISOR_NOT_RUNNING"
    assert head(kaged) == before
    assert list(apply(kaged, "dormant", spec).added) == ["a"]
    up(kaged, "dormant")
    stop(kaged, "dormant")


# --- trees that are deleted -----------------------------------------------------------------------------------------


def test_a_running_tree_is_not_deleted_unless_forced_and_then_stops_first(kaged):
    apply(kaged, "doomed", supervisor(child("a"), child("b")))
    pids = up(kaged, "doomed")
    found = refused(lambda: _delete(kaged, "doomed"))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TREE_NOT_ENDED")
    assert _delete(kaged, "doomed", force=True).phase == "stopping"
    eventually(lambda: "doomed" not in _names(kaged, show_ended=True), "the tree to go")
    assert refused(lambda: tree(kaged, "doomed")).reason == "TREE_NOT_FOUND"
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]
    assert kaged.wait("doomed.a").outcome.reason == "supervisor"
    told = [what for what, _ in story(kaged, "doomed")]
    assert told.index("delete_wanted") < told.index("child_stop_wanted") < told.index("deleted") == len(told) - 1


def test_an_ended_tree_is_deleted_at_once_keeps_its_past_and_its_name_is_free(kaged):
    apply(kaged, "gone", supervisor(child("a")))
    up(kaged, "gone")
    stop(kaged, "gone")
    then = tree(kaged, "gone")
    answer = _delete(kaged, "gone", request_id="gone-1")
    assert (answer.name, answer.phase) == ("gone", "ended")
    for act in (
        lambda: tree(kaged, "gone"),
        lambda: _delete(kaged, "gone"),
        lambda: _delete(kaged, "gone", force=True),
    ):
        assert refused(act).reason == "TREE_NOT_FOUND"
    past = pb.GetTreeRequest(tree="gone", at_seq=then.as_of_seq)
    assert kaged.trees.GetTree(past, timeout=DEADLINE_S).tree == then
    assert list(apply(kaged, "gone", supervisor(child("a"))).added) == ["a"]
    up(kaged, "gone")
    assert _delete(kaged, "gone", request_id="gone-1") == answer, "a repeat gets the first answer and deletes nothing"
    assert tree(kaged, "gone").phase == "running"
    kaged.restart()
    assert _delete(kaged, "gone", request_id="gone-1") == answer
    assert up(kaged, "gone")
    stop(kaged, "gone")


def test_a_forced_delete_goes_on_after_a_kill_9(kaged):
    deaf = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    apply(kaged, "slowly", supervisor(child("deaf", *deaf, shutdown_ms=1500), child("b")))
    up(kaged, "slowly")
    agent = node(kaged, "slowly", "deaf").agent
    eventually(lambda: b"up" in kaged.output(agent), "the trap to be set")
    _delete(kaged, "slowly", force=True)
    assert refused(lambda: apply(kaged, "slowly", supervisor(child("c")))).reason == "TREE_STOPPING"
    kaged.restart()
    eventually(lambda: "slowly" not in _names(kaged, show_ended=True), "the tree to go")
    assert kaged.wait(agent).outcome.reason == "supervisor"


# --- rebuilt --------------------------------------------------------------------------------------------------------


def _rows(folder: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    store: KeyValue = RocksStore(folder / "db")
    rows = {family: store.scan(family, b"", limit=1 << 20) for family in ("states", "operations", "index", "ids")}
    store.close()
    return rows


def test_trees_that_ended_were_deleted_and_made_anew_are_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        spec = supervisor(child("a"), child("once", "sh", "-c", "exit 3", restart=TEMPORARY))
        for name in ("one", "two", "three"):
            apply(kaged, name, spec)
            up(kaged, name)
        verb(kaged, "TerminateChild", "one", "a")
        kaged.wait(node(kaged, "one", "a").agent)
        stop(kaged, "two")
        apply(kaged, "two", spec)
        up(kaged, "two")
        _delete(kaged, "three", force=True)
        eventually(lambda: "three" not in _names(kaged, show_ended=True), "the tree to go")
        apply(kaged, "three", spec)
        kaged.kill()
        kaged.start()
        phase(kaged, "three", "running")
        stop(kaged, "two")
        _delete(kaged, "two", request_id="a")
        stop(kaged, "three")
        request = agents_pb.StopAgentRequest(agent="three.a", request_id="changes-nothing")
        kaged.agents.StopAgent(request, timeout=DEADLINE_S)
        stop(kaged, "one")
        assert kaged.stop() == 0
        live = _rows(kaged.state)
        assert kaged_verb("reindex", kaged.state).returncode == 0
        assert _rows(kaged.state) == live


def test_children_that_end_at_once_have_run_and_do_not_fail_their_tree(kaged):
    quick = [child(f"c{number}", "sh", "-c", "exit 3", restart=TEMPORARY) for number in range(60)]
    apply(kaged, "quick", supervisor(*quick))
    eventually(lambda: tree(kaged, "quick").phase != "starting", "all to have started")
    assert tree(kaged, "quick").phase == "running"
    started = [path for what, path in story(kaged, "quick") if what == "child_started" and path]
    assert started == [f"c{number}" for number in range(60)]
    stop(kaged, "quick")
