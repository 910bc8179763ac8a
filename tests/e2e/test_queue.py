"""Agents that wait for their turn: for places, by priority and age; for other agents; over a restart of the daemon."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from pathlib import Path

import pytest

from kaged.api.v1 import agent_service_pb2 as pb
from tests.e2e.api_words import refused
from tests.e2e.daemon_kit import Kaged, eventually

pytestmark = pytest.mark.e2e
PENDING, SUCCEEDED, FAILED = pb.AGENT_STATE_PENDING, pb.AGENT_STATE_SUCCEEDED, pb.AGENT_STATE_FAILED


@pytest.fixture
def one_place(tmp_path):
    with Kaged(tmp_path / "daemon", environment={"KAGED_MAX_AGENTS": "1"}) as kaged:
        yield kaged


def waits(folder: Path, name: str) -> tuple[str, ...]:
    """A program that notes its name and then waits for a file."""
    line = f"echo {name} >> {folder}/order; while ! test -e {folder}/go-{name}; do sleep 0.02; done"
    return ("sh", "-c", line)


def test_the_next_is_who_matters_most_and_then_who_came_first(one_place, tmp_path):
    agents = {
        name: one_place.spawn(*waits(tmp_path, name), name=name, priority=priority)
        for name, priority in (("first", 0), ("low", -1), ("high", 5), ("later", 0), ("high2", 5))
    }
    assert {one_place.agent(agents[name]).waiting_for for name in ("low", "high", "later")} == {"queue"}
    (tmp_path / "order").touch()
    for name in ("first", "high", "high2", "later", "low"):
        eventually(lambda name=name: name in (tmp_path / "order").read_text("utf-8").split(), f"{name} to run")
        (tmp_path / f"go-{name}").touch()
        assert one_place.wait(agents[name]).state == SUCCEEDED
    assert (tmp_path / "order").read_text("utf-8").split() == ["first", "high", "high2", "later", "low"]


def test_who_waits_goes_on_waiting_over_a_restart_and_may_be_stopped(one_place, tmp_path):
    first = one_place.spawn(*waits(tmp_path, "first"))
    second, third = one_place.spawn("true"), one_place.spawn("true")
    one_place.restart()
    assert one_place.agent(second).state == PENDING
    assert one_place.end(second).outcome.reason == "stopped"
    (tmp_path / "go-first").touch()
    one_place.wait(first)
    assert one_place.wait(third).state == SUCCEEDED


def test_a_namespace_has_places_of_its_own(tmp_path):
    with Kaged(tmp_path / "daemon", environment={"KAGED_MAX_AGENTS_PER_NAMESPACE": "1"}) as kaged:
        web = kaged.spawn(*waits(tmp_path, "web"), namespace="web")
        waiting = kaged.spawn("true", namespace="web")
        other = kaged.spawn("true", namespace="api")
        assert kaged.wait(other).state == SUCCEEDED
        assert kaged.agent(waiting).state == PENDING
        (tmp_path / "go-web").touch()
        kaged.wait(web)
        assert kaged.wait(waiting).state == SUCCEEDED


def test_an_agent_starts_when_those_before_it_have_succeeded(kaged, tmp_path):
    kaged.spawn(*waits(tmp_path, "a"), name="a")
    kaged.spawn("true", name="b")
    last = kaged.spawn("true", after=["a", "b"])
    waiting = kaged.agent(last)
    assert (waiting.state, waiting.waiting_for) == (PENDING, "after")
    kaged.restart()
    (tmp_path / "go-a").touch()
    assert kaged.wait(last).state == SUCCEEDED


@pytest.mark.parametrize("already", [False, True])
def test_an_agent_whose_forerunner_failed_ends_and_says_so(kaged, tmp_path, already):
    first = kaged.spawn("sh", "-c", f"while ! test -e {tmp_path}/go; do sleep 0.02; done; exit 3", name="first")
    if already:
        (tmp_path / "go").touch()
        kaged.wait(first)
    second = kaged.spawn("true", after=[first])
    third = kaged.spawn("true", after=[second])
    (tmp_path / "go").touch()
    ended = kaged.wait(second)
    assert (ended.state, ended.outcome.reason) == (FAILED, "dependency")
    assert "first" in ended.outcome.detail
    assert kaged.wait(third).outcome.reason == "dependency"


def test_an_agent_cannot_wait_for_one_that_is_not_there(kaged):
    found = refused(lambda: kaged.spawn("true", name="self", after=["self"]))
    assert found.fields == ("spec.after[0]",)
