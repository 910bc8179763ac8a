"""What recovery and a disk that has room again do with runs whose wish is on its way to the disk: leave them alone."""

import asyncio
from typing import Any
from unittest.mock import create_autospec

from kaged.domain.events import facts
from kaged.executors.stop_note import StopNote
from kaged.ports import Checker, Executor, Sampler, Workspaces
from kaged.runtime.core import Core
from kaged.runtime.runs.run_host import Settings
from kaged.runtime.system import System
from kaged.store.rows.inmemory import MemoryStore
from tests.fakes.journals import OpenJournal
from tests.unit.test_bugs_are_contained import SPEC, FakeKeeper, NoWatch
from tests.unit.test_engine_let_go import durable


def core_over(opened: OpenJournal) -> tuple[Core, list[tuple[str, bool]]]:
    """A core whose keepers do nothing, and a list of (run, adopted) that grows as they are made."""
    executor = create_autospec(Executor, instance=True)
    executor.enforces = frozenset()
    core = Core(
        opened.journal, System(), executor, NoWatch(), {}, create_autospec(Settings, instance=True, max_subscribers=1),
        token=str, pid=1, sampler=create_autospec(Sampler, instance=True),
        stop_note=create_autospec(StopNote, instance=True), places=create_autospec(Workspaces, instance=True),
        checker=create_autospec(Checker, instance=True),
    )  # fmt: skip
    made: list[tuple[str, bool]] = []

    def keeper(state: Any, run: Any, *, adopted: bool) -> FakeKeeper:
        made.append((run.id, adopted))
        return FakeKeeper(state, run, broken=False)

    core.children._keeper = keeper  # type: ignore[method-assign,assignment]
    return core, made


def test_a_run_whose_wish_is_on_its_way_to_the_disk_is_started_and_not_adopted_too() -> None:
    opened = OpenJournal(MemoryStore())

    async def story() -> None:
        core, made = core_over(opened)
        serving = asyncio.create_task(core.children.serve())
        await asyncio.sleep(0)
        spawned = facts.Spawned(number=1, spec=SPEC, supervisor="")
        wanted = facts.RunWanted(run="agent.1", attempt=1, cause="spawn", ordinal=0)
        receipt = core.engine.commit(core.engine.agent_drafts("agent", (spawned, wanted)))
        core.resume()
        assert made == []
        await durable(receipt)
        core.resume()
        assert made == [("agent.1", False)]
        serving.cancel()
        await asyncio.wait([serving])

    opened.run(story())
    opened.close()
