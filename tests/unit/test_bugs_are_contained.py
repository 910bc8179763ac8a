"""A bug in one effect or one keeper stays there: what stands beside it goes on."""

import asyncio
import logging

import pytest

from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.spec import AgentSpec
from kaged.ports import RunChanges
from kaged.runtime.runs.children import Children
from kaged.runtime.runs.keeper import Keeper
from kaged.store.wire.codec import Draft
from tests.unit.test_engine_let_go import Opened, durable

SPEC = AgentSpec(name="a", command=("true",), working_directory="/")


class Listener:
    """Hears of facts; `broken` ones raise."""

    def __init__(self, *, broken: bool) -> None:
        self.heard: list[str] = []
        self._broken = broken

    def happened(self, draft: Draft, seq: int) -> None:
        self.heard.append(draft.event.type_name)
        if self._broken:
            raise RuntimeError("a bug")


def test_a_bug_in_one_effect_swallows_no_other(caplog: pytest.LogCaptureFixture) -> None:
    opened = Opened()
    broken, good = Listener(broken=True), Listener(broken=False)
    opened.engine.listen(broken)
    opened.engine.listen(good)
    spawned = facts.Spawned(number=1, spec=SPEC, supervisor="")
    wanted = facts.RunWanted(run="agent.1", attempt=1, cause="spawn", ordinal=0)

    async def story() -> None:
        await durable(opened.of_agent(spawned, wanted))

    with caplog.at_level(logging.ERROR):
        opened.journal.run(story())
    assert good.heard == broken.heard == ["agent.spawned", "run.wanted"]
    assert caplog.text.count("effect_bug") == 2
    opened.journal.close()


class NoWatch:
    """Nothing changes."""

    def add(self, run: str) -> None: ...

    def remove(self, run: str) -> None: ...

    def fileno(self) -> int | None:
        return None

    def changed(self) -> RunChanges:
        return RunChanges(runs=frozenset(), let_go=frozenset(), lost=False)

    def close(self) -> None: ...


class FakeKeeper:
    """A keeper that has a bug the first time."""

    def __init__(self, state: AgentState, run: Run, *, broken: bool) -> None:
        self.agent, self.run, self.turn = state.id, run.id, 0
        self.ended = asyncio.Event()
        self._broken = broken

    async def live(self) -> None:
        if self._broken:
            raise RuntimeError("a bug")
        await self.ended.wait()

    def restless(self) -> bool:
        return False

    def look(self) -> None: ...


class SomeChildren(Children):
    """With keepers of which the first has a bug."""

    made: list[FakeKeeper]

    def _keeper(self, state: AgentState, run: Run, *, adopted: bool) -> Keeper:
        self.made.append(FakeKeeper(state, run, broken=not self.made))
        return self.made[-1]  # type: ignore[return-value]  # a stand-in


async def test_a_bug_in_one_keeper_ends_no_other_and_its_run_is_adopted_again() -> None:
    states = {agent: started(agent) for agent in ("one", "two")}
    children = SomeChildren(None, NoWatch(), states.get)  # type: ignore[arg-type]  # no keeper asks the host
    children.made = []
    serving = asyncio.create_task(children.serve())
    await asyncio.sleep(0)
    for state in states.values():
        assert state.run is not None
        children.keep(state, state.run, adopted=False)
    async with asyncio.timeout(10):
        while len(children.made) < 3:  # noqa: ASYNC110  a second chance comes after a second
            await asyncio.sleep(0.01)
    assert [keeper.agent for keeper in children.made] == ["one", "two", "one"]
    assert len(children) == 2
    for keeper in children.made:
        keeper.ended.set()
    async with asyncio.timeout(10):
        while len(children):  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    serving.cancel()
    await asyncio.wait([serving])


def started(agent: str) -> AgentState:
    state = machine.spawn(agent, facts.Spawned(number=1, spec=SPEC, supervisor=""), 1)
    return machine.apply(state, facts.RunWanted(run=f"{agent}.1", attempt=1, cause="spawn", ordinal=0), 1)
