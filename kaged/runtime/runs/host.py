"""What a keeper needs of the daemon: what its run is told, where its output stands, its reports committed.

`run_host.py` is that for the daemon. A `Done` is settled once what was reported is durable.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from kaged.domain.events import facts
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.masking import Masker
from kaged.domain.run_records import RunSpec
from kaged.ports import Adapter, Executor, Launched, RunFolder
from kaged.runtime.runs.capture import Place, Reading
from kaged.runtime.runs.run_facts import FolderFact
from kaged.runtime.system import System

Done = asyncio.Future[None]


class Host(Protocol):
    """See the module. Used on the event loop only, but for `run_spec`, `place` and `equip`, which may be slow."""

    executor: Executor
    system: System
    starts: asyncio.Semaphore

    def state(self, agent: str) -> AgentState | None:
        """The agent now."""

    def adapter(self, state: AgentState) -> Adapter:
        """How to talk to it."""

    def masker(self, state: AgentState) -> Masker:
        """What to hide of its output."""

    async def prepare(self, agent: str, run: str, unwanted: Callable[[], bool]) -> None:
        """Return once the place where it works is there. Raises KageError; `unwanted` is asked from a thread."""

    def run_spec(self, state: AgentState, run: Run) -> RunSpec:
        """What its shim is told."""

    def spool_limits(self, state: AgentState) -> tuple[int, int]:
        """How many bytes of output may wait to be recorded: of its run, of all runs; 0: any."""

    def place(self, agent: str, run: str, listens: bool) -> Place:
        """Where its output was recorded and, if its adapter `listens`, understood to, from the journal."""

    def unperformed(self, agent: str, run: str, folder: RunFolder) -> list[FolderFact]:
        """Recorded orders and input that its folder lacks, oldest first."""

    def report(self, agent: str, events: Sequence[facts.AgentEvent | facts.CaptureEvent]) -> Done | None:
        """Commit facts."""

    def read(self, agent: str, run: str, reading: Reading) -> Done | None:
        """Commit what was read, with the questions in it."""

    def executed(self, agent: str, event: facts.RunExecuted) -> Done | None:
        """Commit that its program runs."""

    async def settled(self) -> None:
        """Return once all that was accepted so far is durable."""

    async def input_known(self, agent: str) -> None:
        """Return once all input that was accepted for its live run is durable."""

    def ended(self, agent: str, event: facts.RunEnded) -> Done | None:
        """Commit its end and what follows from it."""

    def limit(self, agent: str, limit: str) -> None:
        """It went over a limit: stop it."""

    def equip(self, run: str) -> None:
        """Put what the run may use into its folder."""

    def bury(self, launched: Launched) -> None:
        """Collect a shim once it has ended."""
