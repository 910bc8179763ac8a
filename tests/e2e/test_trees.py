"""Supervision trees through a real daemon and real processes: OTP's rules, new specs, crashes, the end of it all."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb
from tests.e2e.api_words import head, refused
from tests.e2e.daemon_kit import DEADLINE_S, eventually
from tests.e2e.tree_words import ALL, PERMANENT, REST, SLEEP, TEMPORARY, TRANSIENT
from tests.e2e.tree_words import apply as _apply
from tests.e2e.tree_words import changed as _changed
from tests.e2e.tree_words import child as _child
from tests.e2e.tree_words import inner as _inner
from tests.e2e.tree_words import node as _node
from tests.e2e.tree_words import nodes as _nodes
from tests.e2e.tree_words import paths as _paths
from tests.e2e.tree_words import phase as _phase
from tests.e2e.tree_words import stop as _stop
from tests.e2e.tree_words import story as _story
from tests.e2e.tree_words import supervisor as _supervisor
from tests.e2e.tree_words import tree as _tree
from tests.e2e.tree_words import up as _up
from tests.e2e.tree_words import verb as _verb

pytestmark = pytest.mark.e2e

# --- starting and stopping ------------------------------------------------------------------------------------


def test_a_nested_tree_starts_in_order_and_stops_in_reverse(kaged):
    spec = _supervisor(
        _child("first"),
        _inner("middle", _supervisor(_child("one"), _child("two"))),
        _child("last"),
    )
    answer = _apply(kaged, "nested", spec)
    assert list(answer.added) == ["first", "middle/one", "middle/two", "last"]
    assert set(_up(kaged, "nested")) == {"first", "middle/one", "middle/two", "last"}
    story = _story(kaged, "nested")
    started = _paths(story, "child_started")
    assert started == ["first", "middle/one", "middle/two", "middle", "last"]
    wanted = [at for at, (what, path) in enumerate(story) if what == "child_start_wanted" and path]
    first_started = story.index(("child_started", "first"))
    assert wanted[0] < first_started < wanted[1]
    agents = {node.path: node.agent for node in _nodes(_tree(kaged, "nested").root) if node.agent}
    _stop(kaged, "nested")
    stopped = _paths(_story(kaged, "nested"), "child_stopped")
    assert stopped == ["last", "middle/two", "middle/one", "middle", "first"]
    for agent in agents.values():
        ended = eventually(lambda agent=agent: kaged.agent(agent) if kaged.agent(agent).HasField("outcome") else None)
        assert (ended.state, ended.outcome.reason) == (agents_pb.AGENT_STATE_CANCELLED, "supervisor")


def test_the_tree_shows_its_spec_and_its_children_belong_to_it(kaged):
    spec = _supervisor(
        _child("web", agent={"secret_environment": {"KEY": "hidden-value"}, "labels": {"a": "b"}}, shutdown_ms=700),
        strategy=REST,
        intensity=3,
        period_s=7,
    )
    _apply(kaged, "shown", spec)
    pids = _up(kaged, "shown")
    got = kaged.trees.GetTree(pb.GetTreeRequest(tree="shown"), timeout=DEADLINE_S)
    assert b"hidden-value" not in got.SerializeToString()
    assert (got.spec.strategy, got.spec.intensity, got.spec.period_s) == (REST, 3, 7)
    assert (got.spec.children[0].shutdown_ms, got.spec.children[0].restart) == (700, PERMANENT)
    assert got.spec.children[0].agent.labels == {"a": "b"}
    web = kaged.agent(_node(kaged, "shown", "web").agent)
    assert (web.supervisor, web.name, web.run.pid) == ("shown/web", "shown.web", pids["web"])
    assert "shown" in [tree.name for tree in kaged.trees.ListTrees(pb.ListTreesRequest()).trees]
    _stop(kaged, "shown")


def test_the_past_of_a_tree_is_what_was_told_then(kaged):
    told = [_apply(kaged, "past", _supervisor(_child("a"), _child("b"))).tree]
    _up(kaged, "past")
    told.append(_tree(kaged, "past"))
    told.append(_verb(kaged, "TerminateChild", "past", "a"))
    eventually(lambda: _node(kaged, "past", "a").phase == "stopped", "a to stop")
    told.append(_tree(kaged, "past"))
    _stop(kaged, "past")
    kaged.restart()
    for then in told:
        request = pb.GetTreeRequest(tree="past", at_seq=then.as_of_seq)
        assert kaged.trees.GetTree(request, timeout=DEADLINE_S).tree == then


def test_pages_of_trees_are_by_name(kaged):
    for name in ("page-a", "page-b", "page-c"):
        _apply(kaged, name, _supervisor())
    names: list[str] = []
    token = ""
    while not names or token:
        page = kaged.trees.ListTrees(pb.ListTreesRequest(page_size=2, page_token=token), timeout=DEADLINE_S)
        names += [tree.name for tree in page.trees]
        token = page.next_page_token
    assert names == sorted(set(names))
    assert {"page-a", "page-b", "page-c"} <= set(names)


def test_children_that_ignore_their_signal_are_killed_after_their_time(kaged):
    deaf = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    _apply(kaged, "deaf", _supervisor(_child("brutal", *deaf, brutal=True), _child("short", *deaf, shutdown_ms=200)))
    pids = _up(kaged, "deaf")
    agents = [_node(kaged, "deaf", path).agent for path in ("brutal", "short")]
    for agent in agents:
        eventually(lambda agent=agent: b"up" in kaged.output(agent), "the trap to be set")
    _stop(kaged, "deaf")
    assert [kaged.agent(agent).run.signal for agent in agents] == [signal.SIGKILL] * 2
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]


# --- restarts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [(pb.STRATEGY_ONE_FOR_ONE, {"b"}), (ALL, {"a", "b", "c"}), (REST, {"b", "c"})],
)
def test_a_crash_restarts_whom_the_strategy_says(kaged, strategy, wanted):
    name = f"strategy-{strategy}"
    _apply(kaged, name, _supervisor(_child("a"), _child("b"), _child("c"), strategy=strategy))
    before = _up(kaged, name)
    since = head(kaged)
    os.kill(before["b"], signal.SIGKILL)
    eventually(lambda: ("child_exited", "b") in _story(kaged, name, since), "the crash to be seen")
    assert _changed(kaged, name, before) == wanted
    story = _story(kaged, name, since)
    assert _paths(story, "child_started") == sorted(wanted)
    assert _paths(story, "child_stopped") == sorted(wanted - {"b"}, reverse=True)
    agents = [node for node in _nodes(_tree(kaged, name).root) if node.agent]
    assert {kaged.agent(node.agent).restarts for node in agents if node.path in wanted} == {1}
    _stop(kaged, name)


def test_restart_types_judge_how_a_child_ended(kaged):
    ends = ("sh", "-c", "exit 0")
    fails = ("sh", "-c", "exit 1")
    once = ("sh", "-c", "test -e $0 && exec sleep 1000; touch $0; exit 1")
    marker = kaged.folder / "restart-types"
    spec = _supervisor(
        _child("stay"),
        _child("transient-good", *ends, restart=TRANSIENT),
        _child("transient-bad", *once, str(marker), restart=TRANSIENT),
        _child("temporary", *fails, restart=TEMPORARY),
    )
    _apply(kaged, "types", spec)

    def settled() -> bool:
        phases = {node.path: node.phase for node in _nodes(_tree(kaged, "types").root)}
        return (
            phases.get("transient-good") == "stopped"
            and phases.get("transient-bad") == "running"
            and "temporary" not in phases
            and marker.exists()
        )

    eventually(settled, "all to be judged")
    assert kaged.agent(_node(kaged, "types", "transient-bad").agent).restarts == 1
    waiting = kaged.wait(_node(kaged, "types", "transient-good").agent)
    assert (waiting.state, waiting.waiting_for) == (agents_pb.AGENT_STATE_STOPPED, "")
    assert (waiting.outcome.reason, waiting.outcome.exit_code) == ("exit", 0)
    ended = kaged.agent("types.temporary")
    assert (ended.state, ended.outcome.reason) == (agents_pb.AGENT_STATE_FAILED, "supervisor")
    _stop(kaged, "types")


def test_too_many_restarts_end_the_supervisor_and_its_own_supervisor_starts_it_again(kaged):
    marker = kaged.folder / "escalation"
    crash = f"echo x >> {marker}; test $(wc -l < {marker}) -gt 3 && exec sleep 1000; exit 1"
    inner = _supervisor(_child("sibling"), _child("crashing", "sh", "-c", crash), intensity=1, period_s=1000)
    _apply(kaged, "escalate", _supervisor(_child("calm"), _inner("inner", inner)))
    eventually(lambda: marker.exists() and len(marker.read_text().splitlines()) >= 4, "four starts")
    after = _up(kaged, "escalate")
    story = _story(kaged, "escalate")
    assert ("escalated", "inner") in story
    assert _paths(story, "child_started").count("calm") == 1
    assert _paths(story, "child_started").count("inner/sibling") == 2
    assert set(after) == {"calm", "inner/sibling", "inner/crashing"}
    _stop(kaged, "escalate")


def test_too_many_restarts_at_the_root_fail_the_tree_and_end_all_its_agents(kaged):
    _apply(
        kaged, "exhausted", _supervisor(_child("calm"), _child("bad", "sh", "-c", "exit 1"), intensity=2, period_s=1000)
    )
    failed = _phase(kaged, "exhausted", "failed")
    assert failed.reason == "intensity"
    for name in ("exhausted.calm", "exhausted.bad"):
        ended = eventually(lambda name=name: kaged.agent(name) if kaged.agent(name).HasField("outcome") else None, name)
        assert ended.outcome.reason == "supervisor"
    assert not [
        item
        for item in kaged.agents.ListAgents(agents_pb.ListAgentsRequest()).agents
        if item.supervisor.startswith("exhausted/")
    ]


@pytest.mark.parametrize("rule", [pb.AUTO_SHUTDOWN_ANY_SIGNIFICANT, pb.AUTO_SHUTDOWN_ALL_SIGNIFICANT])
def test_significant_children_end_their_supervisor(kaged, rule):
    name = f"significant-{rule}"
    reads = {"stdin": spec_pb2.STDIN_MODE_PIPE}
    spec = _supervisor(
        _child("helper"),
        _child("one", "sh", "-c", "read x", agent=reads, restart=TRANSIENT, significant=True),
        _child("two", "sh", "-c", "read x", agent=reads, restart=TRANSIENT, significant=True),
        auto_shutdown=rule,
    )
    _apply(kaged, name, spec)
    _up(kaged, name)
    kaged.send(_node(kaged, name, "one").agent, b"\n")
    if rule == pb.AUTO_SHUTDOWN_ALL_SIGNIFICANT:
        eventually(lambda: _node(kaged, name, "one").phase == "stopped", "the first significant one to end")
        assert _tree(kaged, name).phase == "running"
        kaged.send(_node(kaged, name, "two").agent, b"\n")
    ended = _phase(kaged, name, "ended")
    assert ended.reason == "auto_shutdown"
    assert kaged.wait(f"{name}.one").state == agents_pb.AGENT_STATE_SUCCEEDED
    assert kaged.wait(f"{name}.helper").state == agents_pb.AGENT_STATE_CANCELLED


def test_a_back_off_is_shown_and_ended_by_a_restart(kaged):
    slow = {"restart": spec_pb2.RestartPolicy(backoff_initial_s=1000, backoff_max_s=1000)}
    _apply(kaged, "slow", _supervisor(_child("bad", "sh", "-c", "exit 1", agent=slow), _child("good")))
    node = eventually(
        lambda: node if (node := _node(kaged, "slow", "bad")).HasField("restart_due") else None, "the back-off"
    )
    assert node.phase == "waiting"
    assert _node(kaged, "slow", "good").phase == "running"
    since = head(kaged)
    _verb(kaged, "RestartChild", "slow", "bad")
    eventually(lambda: ("child_exited", "bad") in _story(kaged, "slow", since), "another try")
    _stop(kaged, "slow")


def test_a_child_that_cannot_be_started_fails_the_tree_and_stops_what_had_started(kaged):
    spec = _supervisor(_child("first"), _child("second"), _child("missing", "no-such-program-anywhere"))
    _apply(kaged, "cannot", spec)
    failed = _phase(kaged, "cannot", "failed")
    assert failed.reason == "start_failed"
    story = _story(kaged, "cannot")
    assert ("child_start_failed", "missing") in story
    assert _paths(story, "child_stopped") == ["second", "first"]


def test_a_child_that_cannot_be_started_again_is_tried_again_until_there_were_too_many(kaged, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    _apply(kaged, "again", _supervisor(_child("child", str(program)), intensity=3, period_s=1000))
    pid = _up(kaged, "again")["child"]
    program.unlink()
    os.kill(pid, signal.SIGKILL)
    assert _phase(kaged, "again", "failed").reason == "intensity"
    assert _paths(_story(kaged, "again"), "child_start_failed") == ["child"] * 3


# --- a new spec -----------------------------------------------------------------------------------------------


def test_the_same_spec_again_changes_nothing(kaged):
    spec = _supervisor(_child("a", agent={"secret_environment": {"K": "v"}}), _inner("in", _supervisor(_child("b"))))
    _apply(kaged, "same", spec)
    before, since = _up(kaged, "same"), head(kaged)
    answer = _apply(kaged, "same", spec)
    assert (list(answer.kept), list(answer.added), list(answer.changed)) == (["a", "in/b"], [], [])
    assert _up(kaged, "same") == before
    assert _story(kaged, "same", since) == []
    _stop(kaged, "same")


def test_a_new_spec_keeps_restarts_adds_and_removes_as_it_says(kaged):
    old = [_child("keep"), _child("change"), _child("gone-a"), _child("gone-b"), _inner("in", _supervisor(_child("x")))]
    _apply(kaged, "diff", _supervisor(*old))
    before, since = _up(kaged, "diff"), head(kaged)
    gone = kaged.agent("diff.gone-a").id
    changed = kaged.agent("diff.change").id
    new = [
        _child("keep"),
        _child("change", "sleep", "2000"),
        _inner("in", _supervisor(_child("x"), _child("y"), intensity=7)),
    ]
    checked = _apply(kaged, "diff", _supervisor(*new), validate_only=True)
    assert head(kaged) == since
    answer = _apply(kaged, "diff", _supervisor(*new))
    for told in (checked, answer):
        assert list(told.added) == ["in/y"]
        assert list(told.changed) == ["change"]
        assert list(told.removed) == ["gone-a", "gone-b"]
        assert list(told.kept) == ["keep", "in/x"]
    eventually(lambda: set(_up(kaged, "diff")) == {"keep", "change", "in/x", "in/y"}, "the new shape")
    assert _changed(kaged, "diff", before) == {"change", "in/y"}
    stopped = _paths(_story(kaged, "diff", since), "child_stopped")
    assert stopped == ["gone-b", "gone-a", "change"]
    for agent in (gone, changed):
        ended = eventually(lambda agent=agent: kaged.agent(agent) if kaged.agent(agent).HasField("outcome") else None)
        assert (ended.state, ended.outcome.reason) == (agents_pb.AGENT_STATE_CANCELLED, "supervisor")
    assert _node(kaged, "diff", "in").intensity == 7
    _stop(kaged, "diff")


def test_a_changed_secret_restarts_its_child_only(kaged):
    def spec(value: str) -> pb.SupervisorSpec:
        return _supervisor(_child("a", agent={"secret_environment": {"K": value}}), _child("b"))

    _apply(kaged, "secret", spec("one"))
    before = _up(kaged, "secret")
    assert list(_apply(kaged, "secret", spec("two")).changed) == ["a"]
    eventually(lambda: _up(kaged, "secret")["a"] != before["a"], "the restart")
    assert _changed(kaged, "secret", before) == {"a"}
    _stop(kaged, "secret")


def test_a_tree_that_has_ended_is_made_anew_by_the_same_spec(kaged):
    spec = _supervisor(_child("a"))
    _apply(kaged, "anew", spec)
    first = _up(kaged, "anew")
    _stop(kaged, "anew")
    assert list(_apply(kaged, "anew", spec).added) == ["a"]
    assert _up(kaged, "anew") != first
    _stop(kaged, "anew")


def test_all_that_is_wrong_with_a_spec_is_named_by_its_place_and_nothing_happens(kaged):
    before = head(kaged)
    bad = _supervisor(
        _child("a", agent={"name": "UPPER"}),
        _inner("in", _supervisor(_child("b", agent={"working_directory": "relative"}))),
        _child("c", agent={"name": "twin"}),
        _child("d", agent={"name": "twin"}),
    )
    found = refused(lambda: _apply(kaged, "bad", bad))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(found.fields) == {
        "spec.children[0].agent.name",
        "spec.children[1].supervisor.children[0].agent.working_directory",
        "spec.children[3].agent.name",
    }
    for spec, field in (
        (_supervisor(_child("a"), _child("a")), "spec.children[1].id"),
        (_supervisor(_child("a", significant=True)), "spec.children[0].significant"),
        (_supervisor(period_s=float("nan")), "spec.period_s"),
        (_supervisor(intensity=100_000), "spec.intensity"),
        (_supervisor(strategy=77), "spec.strategy"),
        (_supervisor(pb.ChildSpec(id="nothing")), "spec.children[0]"),
        (_supervisor(_inner("in", _supervisor(), brutal=True)), "spec.children[0].shutdown_ms"),
        (_supervisor(_inner("in", _supervisor(intensity=100_000))), "spec.children[0].supervisor.intensity"),
        (
            _supervisor(_child("a"), _inner("in", _supervisor(_child("b", shutdown_ms=2**31)))),
            "spec.children[1].supervisor.children[0].shutdown_ms",
        ),
        (_supervisor(_child("no/slash")), "spec.children[0].id"),
        (_supervisor(_child("")), "spec.children[0].id"),
    ):
        assert field in refused(lambda spec=spec: _apply(kaged, "bad", spec)).fields
    told = refused(lambda: _apply(kaged, "bad", _supervisor(_inner("in", _supervisor(_child("b", significant=True))))))
    assert "(child in/b)" in told.message
    deep = _supervisor()
    for _ in range(20):
        deep = _supervisor(_inner("in", deep))
    assert refused(lambda: _apply(kaged, "bad", deep)).fields
    for name in ("", "UPPER", "a/b", "x" * 100):
        assert refused(lambda name=name: _apply(kaged, name, _supervisor())).fields == ("tree",)
    assert refused(lambda: _tree(kaged, "bad")).reason == "TREE_NOT_FOUND"
    assert head(kaged) == before


def test_a_name_of_a_live_agent_is_not_taken_from_it(kaged):
    agent = kaged.spawn(*SLEEP, name="famous")
    found = refused(lambda: _apply(kaged, "thief", _supervisor(_child("a", agent={"name": "famous"}))))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "AGENT_NAME_TAKEN")
    assert kaged.agent("famous").id == agent
    kaged.end(agent)


# --- verbs ----------------------------------------------------------------------------------------------------


def test_a_child_is_terminated_started_again_and_deleted_as_in_otp(kaged):
    _apply(kaged, "verbs", _supervisor(_child("a"), _child("b")))
    before = _up(kaged, "verbs")
    running = refused(lambda: _verb(kaged, "RestartChild", "verbs", "a"))
    assert (running.code, running.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CHILD_RUNNING")
    assert refused(lambda: _verb(kaged, "DeleteChild", "verbs", "a")).reason == "CHILD_RUNNING"
    _verb(kaged, "TerminateChild", "verbs", "a")
    eventually(lambda: _node(kaged, "verbs", "a").phase == "stopped", "a to stop")
    assert not Path(f"/proc/{before['a']}").exists()
    _verb(kaged, "RestartChild", "verbs", "a")
    assert _changed(kaged, "verbs", before) == {"a"}
    _verb(kaged, "TerminateChild", "verbs", "a")
    eventually(lambda: _node(kaged, "verbs", "a").phase == "stopped", "a to stop")
    _verb(kaged, "DeleteChild", "verbs", "a")
    assert [node.path for node in _nodes(_tree(kaged, "verbs").root)] == ["", "b"]
    ended = eventually(
        lambda: kaged.agent("verbs.a") if kaged.agent("verbs.a").HasField("outcome") else None, "its end"
    )
    assert ended.outcome.reason == "supervisor"
    for path, reason in (("a", "CHILD_NOT_FOUND"), ("b/c", "CHILD_NOT_FOUND"), ("nobody", "CHILD_NOT_FOUND")):
        assert refused(lambda path=path: _verb(kaged, "TerminateChild", "verbs", path)).reason == reason
    assert refused(lambda: _verb(kaged, "TerminateChild", "verbs", "")).fields == ("path",)
    assert refused(lambda: _verb(kaged, "TerminateChild", "no-tree", "a")).reason == "TREE_NOT_FOUND"
    _stop(kaged, "verbs")


def test_a_child_is_its_trees_alone(kaged):
    _apply(kaged, "owned", _supervisor(_child("a")))
    _up(kaged, "owned")
    for call in (
        lambda: kaged.agents.StopAgent(agents_pb.StopAgentRequest(agent="owned.a")),
        lambda: kaged.agents.RestartAgent(agents_pb.RestartAgentRequest(agent="owned.a")),
    ):
        found = refused(call)
        assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_SUPERVISED")
        assert "kagectl tree" in found.hint
    _stop(kaged, "owned")


def test_repeated_requests_have_one_effect_and_one_answer(kaged):
    spec = _supervisor(_child("a"), _child("b"))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _apply(kaged, "repeated", spec, request_id="apply-1"), range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert list(answers[0].added) == ["a", "b"]
    before = _up(kaged, "repeated")
    other = _supervisor(_child("a"))
    assert refused(lambda: _apply(kaged, "repeated", other, request_id="apply-1")).reason == "REQUEST_ID_REUSED"
    told = _verb(kaged, "TerminateChild", "repeated", "a", request_id="terminate-1")
    eventually(lambda: _node(kaged, "repeated", "a").phase == "stopped", "a to stop")
    _verb(kaged, "RestartChild", "repeated", "a")
    assert _changed(kaged, "repeated", before) == {"a"}
    kaged.restart()
    assert _verb(kaged, "TerminateChild", "repeated", "a", request_id="terminate-1") == told
    assert _apply(kaged, "repeated", spec, request_id="apply-1") == answers[0]
    assert _node(kaged, "repeated", "a").phase == "running"
    stop = pb.StopTreeRequest(tree="repeated", request_id="stop-1")
    first = kaged.trees.StopTree(stop, timeout=DEADLINE_S)
    assert kaged.trees.StopTree(stop, timeout=DEADLINE_S) == first
    _phase(kaged, "repeated", "ended")


# --- crashes of the daemon ------------------------------------------------------------------------------------


def test_a_tree_goes_on_over_a_kill_9_with_the_same_processes(kaged):
    _apply(kaged, "survivor", _supervisor(_child("a"), _inner("in", _supervisor(_child("b")))))
    before = _up(kaged, "survivor")
    kaged.restart()
    assert _up(kaged, "survivor") == before
    os.kill(before["in/b"], signal.SIGKILL)
    eventually(lambda: _up(kaged, "survivor")["in/b"] != before["in/b"], "the restart")
    assert _changed(kaged, "survivor", before) == {"in/b"}
    _stop(kaged, "survivor")


@pytest.mark.parametrize("round_", range(4))
def test_a_kill_9_in_the_middle_of_a_restart_of_all_loses_no_step(kaged, round_):
    """The children take their time to stop, so the daemon dies while the group is on its way down or up."""
    slow = ("sh", "-c", "trap 'sleep 0.15; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    name = f"killed-{round_}"
    children = [_child(word, *slow) for word in ("a", "b", "c", "d")]
    _apply(kaged, name, _supervisor(*children, strategy=ALL))
    before = _up(kaged, name)
    for node in _nodes(_tree(kaged, name).root):
        if node.agent:
            eventually(lambda node=node: b"up" in kaged.output(node.agent), "the trap to be set")
    since = head(kaged)
    os.kill(before["b"], signal.SIGKILL)
    kinds = ("child_stop_wanted", "child_stopped", "child_start_wanted", "child_started")
    wanted = kinds[round_]
    eventually(lambda: _paths(_story(kaged, name, since), wanted), f"{wanted} to be in the journal")
    kaged.restart()
    assert _changed(kaged, name, before) == {"a", "b", "c", "d"}
    story = _story(kaged, name, since)
    assert _paths(story, "child_started") == ["a", "b", "c", "d"]
    assert _paths(story, "child_stopped") == ["d", "c", "a"]
    assert _tree(kaged, name).root.restarts_in_window == 1
    _stop(kaged, name)


def test_a_child_that_crashed_while_no_daemon_was_there_is_restarted_by_the_next(kaged):
    _apply(kaged, "absent", _supervisor(_child("a"), _child("b"), strategy=REST))
    before = _up(kaged, "absent")
    kaged.kill()
    os.kill(before["a"], signal.SIGKILL)
    kaged.start()
    eventually(lambda: _up(kaged, "absent")["a"] != before["a"], "the restart")
    assert _changed(kaged, "absent", before) == {"a", "b"}
    _stop(kaged, "absent")


def test_a_back_off_of_a_tree_goes_on_after_a_restart_of_the_daemon(kaged):
    slow = {"restart": spec_pb2.RestartPolicy(backoff_initial_s=1.5, backoff_max_s=1.5)}
    _apply(kaged, "due", _supervisor(_child("bad", "sh", "-c", "exit 1", agent=slow)))
    eventually(lambda: _node(kaged, "due", "bad").HasField("restart_due"), "the back-off")
    due = _node(kaged, "due", "bad").restart_due
    kaged.restart()
    now = _node(kaged, "due", "bad")
    assert not now.HasField("restart_due") or now.restart_due.ToMicroseconds() >= due.ToMicroseconds()
    eventually(lambda: _paths(_story(kaged, "due"), "child_started").count("bad") >= 2, "the next start")
    _stop(kaged, "due")
