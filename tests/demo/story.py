"""The story of the demo, chapter by chapter:

    a repository with failing tests -> kaged -> three agents with goals, each in its own work tree -> kill -9 of kaged
    -> agents go on alone -> kaged again, adopts them, judges what they did -> answers to their questions, and words
    for one whose turns are used up -> merge -> what the journal says

Goals, checks, limits, approvals, work trees and merges are Kage's own; nothing here stands in for them. Every
chapter waits for a fact with a deadline, never for time to pass. Whatever happens, agents and daemon are stopped and
the folder removed (KEEP=1 keeps it).
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kagectl.client import AsyncClient, ClientError, find_address
from kagectl.client.methods.agents import LIST_AGENTS
from kaged.api.v1 import agent_service_pb2 as agents_pb
from tests.demo.follow import Follower, Seen, elapsed
from tests.demo.kinds import KINDS, Missing
from tests.demo.repository import GIT_ENV, JOBS, Repository
from tests.demo.screen import Screen
from tests.demo.service import Service, shown
from tests.demo.verdict import Verdict, read_back

_PATIENCE_S = {"scripted": 60.0, "claude": 600.0}
# What a person adds to a limit that was used up.
_MORE = {"iterations": ("--add-iterations", "5"), "cost": ("--add-cost", "1usd"), "time": ("--add-time", "5m")}


async def tell(kind: str) -> int:
    """Tell it all with agents of this kind. Returns the exit code of `make demo`: 0, or 1 when something is wrong,
    2 when it could not begin."""
    screen = Screen()
    try:
        KINDS[kind]("prices", Path("unused"))
    except (Missing, KeyError) as error:
        known = ", ".join(KINDS)
        screen.note(str(error) if isinstance(error, Missing) else f"AGENT is one of: {known}")
        return 2
    folder = _throw_away()
    story = Story(kind, folder, screen)
    begun = time.monotonic()
    try:
        verdict = await story.chapters()
    except (ExceptionGroup, ClientError, TimeoutError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        for cause in error.exceptions if isinstance(error, ExceptionGroup) else (error,):
            screen.title(f"the demo failed: {type(cause).__name__}: {cause}")
        screen.note(story.last_words())
        return 1
    finally:
        await asyncio.to_thread(story.service.stop)
        if os.environ.get("KEEP"):
            screen.note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return _close(screen, verdict, elapsed(begun))


class Story:
    """One telling. `chapters` may be called once."""

    def __init__(self, kind: str, folder: Path, screen: Screen) -> None:
        self._kind = kind
        self._folder = folder
        self._screen = screen
        self._patience_s = _PATIENCE_S[kind]
        self.service = Service(folder / "state")
        self._repository = Repository(folder)
        self._transcripts = folder / "transcripts"
        self._wrong: list[str] = []

    async def chapters(self) -> Verdict:
        """Everything up to the verdict. Raises TimeoutError or RuntimeError when it does not go on."""
        await asyncio.to_thread(self._make_repository)
        self._start_daemon("kaged starts on an empty state folder")
        await asyncio.to_thread(self._until_token)
        client = AsyncClient(find_address(str(self.service.socket), env={}), patience_s=self._patience_s)
        async with client, asyncio.TaskGroup() as group:
            follower = Follower(client, self._screen)
            following = group.create_task(follower.run())
            await self._spawn(follower)
            await self._alone(follower)
            before = {agent.job: agent.pid for agent in follower.seen.agents.values()}
            await self._adopt(follower, client)
            await self._help_all(follower)
            await self._merge(follower)
            following.cancel()
            verdict = await read_back(client, self._transcripts, before)
            if self._kind == "scripted" and not verdict.pauses:
                self._wrong.append("no limit paused an agent")
            if follower.seen.gaps:
                self._wrong.append(f"the live subscription had {follower.seen.gaps} gaps or repeats")
        return Verdict(
            rows=verdict.rows,
            events=verdict.events,
            daemons=verdict.daemons,
            pauses=verdict.pauses,
            wrong=(*verdict.wrong, *self._wrong),
        )

    def last_words(self) -> str:
        """The end of the daemon's log."""
        if not self.service.log.exists():
            return "the daemon never started"
        return "\n   ".join(self.service.log.read_text(errors="replace").splitlines()[-15:])

    # --- chapters ------------------------------------------------------------------------------------------------

    def _make_repository(self) -> None:
        self._screen.title("a git repository with three bugs")
        self._transcripts.mkdir(parents=True)
        self._repository.make()
        result = self._repository.test()
        self._screen.note(f"{self._repository.main}: tests on main: {result.last_line}")
        if result.passed:
            raise RuntimeError("the tests of the new repository pass, there is nothing to do")

    def _start_daemon(self, title: str) -> None:
        self._screen.title(title)
        self._screen.command(f"kaged --state-dir {self.service.state}")
        self._screen.note(f"kaged is process {self.service.start()}")

    def _until_token(self) -> None:
        """The client needs the token that a first start makes."""
        deadline = time.monotonic() + 20
        while not self.service.socket.with_name("owner.token").exists():
            if not self.service.runs or time.monotonic() > deadline:
                raise RuntimeError("kaged does not start")
            time.sleep(0.02)

    async def _spawn(self, follower: Follower) -> None:
        self._screen.title("three agents with goals, side by side")
        settings = [word for key, value in GIT_ENV.items() for word in ("-e", f"{key}={value}")]
        for job in JOBS:
            task = KINDS[self._kind](job, self._transcripts / job)
            check = f"cmd: python3 -B -m unittest tests.test_{job}"
            rules = ["--until", check, "--approve", "on-commit"]
            words = ["run", "-d", task.goal, "--name", job, *rules, *task.options, "--repo", str(self._repository.main)]
            brief = [Path(word).name if os.path.isabs(word) else word for word in (*words, "--", *task.command)]
            self._screen.command(shown(brief), whole=job == JOBS[0])
            await asyncio.to_thread(self.service.ctl, *words, *settings, "--", *task.command)
        await follower.wait(
            lambda seen: len(seen.agents) == len(JOBS) and all(agent.pid for agent in seen.agents.values()),
            "three running agents",
            20,
        )
        if self._kind == "scripted":
            await follower.wait(lambda seen: bool(seen.open_questions), "the first question", self._patience_s)
        else:
            await follower.wait(lambda seen: all(agent.output_bytes for agent in seen.agents.values()), "output", 120)

    async def _alone(self, follower: Follower) -> None:
        """Kill the daemon; wait until agents that were at work have worked on without it."""
        self._screen.title("kill -9 of the daemon, in the middle of it")
        await asyncio.to_thread(self.service.kill)
        begun = time.monotonic()
        sizes = self._written()
        asking = {follower.seen.agents[agent].job for agent in follower.seen.open_questions.values()}
        idle = asking | {agent.job for agent in follower.seen.agents.values() if agent.rests()}
        await asyncio.to_thread(self._until_written, sizes, set(JOBS) - idle)
        self._screen.note(f"for {elapsed(begun)} there is no daemon, and the agents work on:")
        for agent in follower.seen.agents.values():
            more = self._written()[agent.job] - sizes[agent.job]
            alive = "is alive" if _lives(agent.pid) else "has ended"
            what = f"wrote {more} bytes more" if more else "waits"
            self._screen.note(f"  {agent.job:<7} pid {agent.pid} {alive}, {what}")

    def _until_written(self, sizes: dict[str, int], at_work: set[str]) -> None:
        """Until each of these agents has written more than it had (or waits for the judgement of its turn, or for an
        answer), and a second has passed for people to see it."""
        begun = time.monotonic()
        while time.monotonic() < begun + _PATIENCE_S[self._kind]:
            now = self._written()
            if time.monotonic() > begun + 1 and all(now[job] > sizes[job] or self._waits(job) for job in at_work):
                return
            time.sleep(0.05)
        raise TimeoutError("agents wrote nothing while there was no daemon")

    async def _adopt(self, follower: Follower, client: AsyncClient) -> None:
        self._start_daemon("kaged again, on the same folder")
        await follower.wait(lambda seen: seen.daemons == 2, "the second daemon", 30)
        listed = await client.call(LIST_AGENTS, agents_pb.ListAgentsRequest(show_ended=True))
        pids = {agent.job: agent.pid for agent in follower.seen.agents.values()}
        if any(agent.run.pid != pids[agent.name] for agent in listed.agents if agent.run.phase == "started"):
            self._wrong.append("after the restart an agent has another process")
        self._screen.note("same processes, and what they wrote meanwhile is read where the journal ends:")

    async def _help_all(self, follower: Follower) -> None:
        """What a person does until every agent has ended: say yes to a question, give words to one that is paused."""
        deadline = time.monotonic() + self._patience_s
        told: set[str] = set()
        while not follower.seen.all_ended():
            left_s = max(deadline - time.monotonic(), 0.1)
            await follower.wait(lambda seen: bool(seen.wanted()) or seen.all_ended(), "agents to end", left_s)
            for approval in tuple(follower.seen.open_questions):
                self._once(told, "their questions are still there; the answer reaches the same process")
                words = ("approval", "approve", approval, "--note", "go ahead")
                await self._type(words)
                await follower.wait(_answered(approval), "the answer", 20)
            for agent in tuple(follower.seen.agents.values()):
                if agent.paused and agent.paused != "rate_limit":
                    self._once(
                        told, "a limit pauses, it never ends: more turns, and a person's words as the next prompt"
                    )
                    guidance = f"Look at shop/{agent.job}.py:{self._repository.bug_line(agent.job)}"
                    more = _MORE.get(agent.paused, ())
                    await self._type(("agent", "resume", agent.job, *more, "--guidance", guidance))
                    await follower.wait(_resumed(agent.job), "the agent to go on", 20)

    def _once(self, told: set[str], title: str) -> None:
        if title not in told:
            told.add(title)
            self._screen.title(title)

    async def _type(self, words: Sequence[str]) -> str:
        """A command as a person types it: shown, done."""
        self._screen.command(shown(words))
        return await asyncio.to_thread(self.service.ctl, *words)

    async def _merge(self, follower: Follower) -> None:
        self._screen.title("what they did: look at it, merge it, run all tests")
        patch = await self._type(("agent", "diff", JOBS[-1]))
        for line in patch.splitlines():
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
                self._screen.note(line)
        for job in JOBS:
            for line in (await self._type(("agent", "merge", job))).splitlines():
                self._screen.note(line)
        for subject in await asyncio.to_thread(self._repository.subjects):
            self._screen.note(subject)
        result = await asyncio.to_thread(self._repository.test)
        self._screen.note(f"tests on main: {result.last_line}")
        if not result.passed:
            self._wrong.append("the tests do not pass after the merge")
        if not await asyncio.to_thread(self._repository.clean):
            self._wrong.append("the merge left changes in the work tree of main")

    def _waits(self, job: str) -> bool:
        """Whether an agent's last words are the end of its turn, or a question."""
        path = (self._transcripts / job).with_suffix(".out")
        if not path.exists():
            return False  # it has not begun to speak
        last = (path.read_bytes().splitlines() or [b""])[-1]
        return any(word in last for word in (b'"turn.ended"', b'"approval.request"', b'"result"', b'"control_request"'))

    def _written(self) -> dict[str, int]:
        """How many bytes each agent has written, by its own copy."""
        copies = {job: (self._transcripts / job).with_suffix(".out") for job in JOBS}
        return {job: path.stat().st_size if path.exists() else 0 for job, path in copies.items()}


def _close(screen: Screen, verdict: Verdict, took: str) -> int:
    screen.title("read back from the journal")
    screen.note("AGENT    STATE       RUNS  PID      TURNS  EVENTS  OUTPUT   APPROVED  BYTE FOR BYTE WHAT IT WROTE")
    for row in verdict.rows:
        same = "yes" if row.same_bytes else "NO"
        screen.note(
            f"{row.name:<8} {row.state:<11} {row.runs:>4}  {row.pid:<7} {row.turns:>6} {row.events:>7}"
            f" {row.output_bytes:>7}   {row.approvals:<9} {same}"
        )
    count = verdict.events
    order = f"{count} events, positions 1 to {count} without a gap"
    screen.note(f"{order}; {verdict.daemons} daemons; {verdict.pauses} pause{'' if verdict.pauses == 1 else 's'}")
    for complaint in verdict.wrong:
        screen.note(f"WRONG: {complaint}")
    screen.title(f"{'nothing was lost' if not verdict.wrong else 'the demo failed'} ({took})")
    return 1 if verdict.wrong else 0


def _throw_away() -> Path:
    """A new folder with a short name: the path of a socket has 107 bytes at most."""
    usual = Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="kage-demo-", dir=usual if len(os.fsencode(usual)) < 50 else "/tmp"))


def _answered(approval: str) -> Callable[[Seen], bool]:
    return lambda seen: approval not in seen.open_questions


def _resumed(job: str) -> Callable[[Seen], bool]:
    return lambda seen: not any(agent.paused for agent in seen.agents.values() if agent.job == job)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
