"""What has ended leaves memory when its end is on disk, and not before: until then its rows would tell the past."""

import asyncio

import pytest

from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.machines import tree as trees
from kaged.domain.spec import AgentSpec
from kaged.domain.world import World
from kaged.runtime.agents import Agents
from kaged.runtime.engine import OWNER, Caller, Engine, Receipt
from kaged.runtime.system import System
from kaged.store.derived.views import Views
from kaged.store.rows.inmemory import MemoryStore
from tests.fakes.journals import OpenJournal

SPEC = AgentSpec(name="a", command=("true",), working_directory="/")
ENDED = facts.Ended(outcome="succeeded", reason="exit", exit_code=0, signal=0, limit="", note="")


class Opened:
    """An engine over a store in memory."""

    def __init__(self) -> None:
        self.journal = OpenJournal(MemoryStore())
        self.world = World()
        self.engine = Engine(self.journal.journal, self.world, System())
        self.views = Views(self.journal.store, self.journal.reader)
        self.agents = Agents(self.engine, self.views, self.journal.reader, {}, frozenset())

    def of_agent(self, *events: facts.AgentEvent) -> Receipt:
        return self.engine.commit(self.engine.agent_drafts("agent", events))


async def durable(receipt: Receipt) -> None:
    assert receipt.done is not None
    await receipt.done
    await asyncio.sleep(0)  # what follows from it is called by the loop


@pytest.fixture
def opened() -> Opened:
    return Opened()


def run_of(opened: Opened) -> tuple[facts.RunWanted, facts.RunEnded]:
    wanted = facts.RunWanted(run="agent.1", attempt=1, cause="spawn", ordinal=0)
    ended = facts.RunEnded(
        run="agent.1", kind="exited", exit_code=0, signal=0, core_dumped=False, how="normal", ended_us=1, boot_id="",
        cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0, stopped_by="", survivors=0, errno=0, note="",
    )  # fmt: skip
    return wanted, ended


def test_a_stop_that_meets_an_end_on_its_way_to_the_disk_finds_the_agent_ended(opened: Opened) -> None:
    wanted, ended = run_of(opened)

    async def story() -> None:
        await durable(opened.of_agent(facts.Spawned(number=1, spec=SPEC, supervisor=""), wanted))
        on_its_way = opened.of_agent(ended, ENDED)
        assert "a" not in opened.world.names, "its name is free at once"
        caller = Caller(actor=OWNER)
        answer = await opened.agents.stop("agent", caller, grace_s=None, signal=0, note="")
        assert answer.state.phase == "ended"
        await durable(on_its_way)
        assert opened.world.agent("agent") is None
        found = opened.views.agent("agent")
        assert found is not None
        assert found[0].phase == "ended"

    opened.journal.run(story())
    opened.journal.close()


def test_an_agent_that_was_brought_back_while_its_end_was_written_stays(opened: Opened) -> None:
    wanted, ended = run_of(opened)

    async def story() -> None:
        await durable(opened.of_agent(facts.Spawned(number=1, spec=SPEC, supervisor=""), wanted))
        first = opened.of_agent(ended, ENDED)
        second = opened.of_agent(facts.RunWanted(run="agent.2", attempt=2, cause="requested", ordinal=0))
        await durable(first)
        await durable(second)
        state = opened.world.agent("agent")
        assert state is not None
        assert state.phase == "starting"
        assert opened.world.names == {"a": "agent"}

    opened.journal.run(story())
    opened.journal.close()


def test_a_tree_leaves_memory_with_the_last_of_its_agents(opened: Opened) -> None:
    spec = trees.SupervisorSpec(id="t", children=(trees.ChildSpec(id="c", work="agent"),))

    def of_tree(command: trees.Command) -> Receipt:
        before = opened.world.trees.get("t") or trees.initial("t")
        return opened.engine.commit(opened.engine.tree_drafts("t", trees.decide(before, command)))

    async def story() -> None:
        spawned = facts.Spawned(number=1, spec=SPEC, supervisor="t/c")
        await durable(opened.of_agent(spawned))
        await durable(of_tree(trees.ApplySpec(spec=spec, at_us=1, jitter=0)))
        await durable(of_tree(trees.StartFailed(path="c", ordinal=2, why="no", at_us=2, jitter=0)))
        assert opened.world.trees["t"].phase == "failed"
        state = opened.world.agent("agent")
        assert state is not None
        await durable(opened.of_agent(*machine.decide_retired(state)))
        assert opened.world.trees == {}
        assert opened.world.of_tree == {}
        found = opened.views.tree("t")
        assert found is not None
        assert found[0].phase == "failed"

    opened.journal.run(story())
    opened.journal.close()


def test_a_request_that_changed_nothing_is_remembered_with_the_agent_it_was_about(opened: Opened) -> None:
    caller = Caller(actor=OWNER, request_id="one", digest=b"d" * 32, method="AgentService.StopAgent")

    async def story() -> None:
        wanted, ended = run_of(opened)
        await durable(opened.of_agent(facts.Spawned(number=1, spec=SPEC, supervisor=""), wanted))
        await durable(opened.of_agent(ended, ENDED))
        first = await opened.agents.stop("agent", caller, grace_s=None, signal=0, note="")
        again = facts.RunWanted(run="agent.2", attempt=2, cause="requested", ordinal=0)
        found = opened.views.agent("agent")
        assert found is not None
        opened.world.load(*found)
        await durable(opened.of_agent(again))
        repeat = await opened.agents.stop("agent", caller, grace_s=None, signal=0, note="")
        assert (repeat.state, repeat.as_of_seq) == (first.state, first.as_of_seq)
        state = opened.world.agent("agent")
        assert state is not None
        assert state.phase == "starting", "the repeat stopped what came after the first"

    opened.journal.run(story())
    opened.journal.close()


def test_what_makes_no_facts_and_has_no_request_id_leaves_nothing(opened: Opened) -> None:
    before = opened.journal.journal.accepted_seq
    opened.engine.commit([], Caller(actor=OWNER))
    assert opened.journal.journal.accepted_seq == before
    opened.journal.close()
