"""Gathers the evidence for one judgement: the turn as heard, the folder as it is, the checks as they come out.

Blocking work is done in threads. Secrets are masked before anything is recorded. Not here: the verdict.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from kaged.domain.events.goal import CheckResult
from kaged.domain.goal_spec import CommandHolds, Criterion, FileContains, FileExists, GoalLoop, TestsPass
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.goal.judge import Checked, Evidence, aborts, by_words, found, turn_failed
from kaged.domain.machines.goal.state import GoalState
from kaged.domain.masking import Masker
from kaged.ports import CheckEnd, Checker, CheckWish, FolderMark
from kaged.runtime.goals.turns import Turn, last_run, last_turn
from kaged.store.reading.reader import Reader

log = logging.getLogger("kaged.goals")

_AT_ONCE: Final = 4
_FILE_BYTES: Final = 4 << 20
_PARK_US: Final = 60_000_000
_PARK_MOST_US: Final = 3_600_000_000
_NO_TESTS: Final = (
    b"no test runner was found: looked for a test target in Makefile and justfile, a test script in package.json, "
    b"Cargo.toml, go.mod, pytest's files and others"
)


class Judging:
    """See the module. `environment` and `masker`: what the agent's own runs get; `folder`: where it works."""

    def __init__(
        self,
        reader: Reader,
        checker: Checker,
        environment: Callable[[AgentState], Mapping[str, str]],
        masker: Callable[[AgentState], Masker],
        folder: Callable[[AgentState], str],
        mark: Callable[[AgentState], FolderMark],
    ) -> None:
        self._reader = reader
        self._checker = checker
        self._environment = environment
        self._masker = masker
        self._folder = folder
        self._mark = mark
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._checks: dict[str, str] = {}  # by agent: the check that runs

    async def kill_earlier(self) -> None:
        """End checks that a daemon before us left running when it was killed, whatever became of their agents."""
        left = await asyncio.to_thread(self._checker.kill_earlier)
        if left:
            log.info("checks_left processes=%s", len(left))

    def cancel(self, agent: str) -> None:
        """End the check that runs for an agent: nobody waits for its result any more."""
        check = self._checks.get(agent)
        if check is not None:
            self._checker.cancel(check)

    async def evidence(self, state: AgentState, still: Callable[[], bool], now_us: int) -> Evidence:
        """All that the judgement of its last turn needs. Checks that come after `still` has failed are left out."""
        assert state.loop is not None
        loop, goal = state.loop
        folder = self._folder(state)
        if loop.run_is_turn and (state.run is None or not state.run.turns):  # nothing but its output is known
            turn = await asyncio.to_thread(last_run, self._reader, state.id, state.run.id if state.run else "")
        else:
            turn = await asyncio.to_thread(last_turn, self._reader, state.id)
        mark = await asyncio.to_thread(self._mark, state)
        failed = turn_failed(goal.turn_outcome)
        limited = turn.refused or goal.failure == "rate_limit"
        evidence = Evidence(
            said=turn.said,
            said_mark=turn.said_mark,
            tried=turn.tried,
            files=mark.mark,
            failed=failed,
            parked_until_us=_parked_until(turn, goal, now_us) if failed and limited else 0,
            files_changed=mark.files_changed,
            lines_added=mark.lines_added,
            lines_removed=mark.lines_removed,
        )
        unable = evidence.parked_until_us or goal.turn_outcome == "cancelled" or (failed and goal.failure == "auth")
        if unable or aborts(loop, goal, evidence) is not None:
            return evidence
        return replace(evidence, checks=await self._all(state, loop, goal, folder, turn, still))

    async def _all(
        self, state: AgentState, loop: GoalLoop, goal: GoalState, folder: str, turn: Turn, still: Callable[[], bool]
    ) -> tuple[Checked, ...]:
        checks: list[Checked] = []
        for index, criterion in enumerate(loop.success):
            if not still():
                break
            check = f"{state.id}.check.{goal.iterations + 1}.{index}"
            checks.append(await self._one(state, loop, criterion, folder, turn, check))
            if loop.any and checks[-1].result.passed:
                break
        return tuple(checks)

    async def _one(
        self, state: AgentState, loop: GoalLoop, criterion: Criterion, folder: str, turn: Turn, check: str
    ) -> Checked:
        words = by_words(criterion, turn.said)
        if words is not None:
            return Checked(result=CheckResult(passed=words))
        match criterion:
            case FileExists(path=path):
                there = await asyncio.to_thread(self._checker.read, folder, path, 0)
                return Checked(result=CheckResult(passed=there is not None))
            case FileContains(path=path, pattern=pattern):
                data = await asyncio.to_thread(self._checker.read, folder, path, _FILE_BYTES)
                holds = data is not None and found(pattern, data.decode("utf-8", "replace"))
                return Checked(result=CheckResult(passed=holds), output="there is no such file" if data is None else "")
            case TestsPass():
                command = await asyncio.to_thread(self._checker.tests_of, folder)
                if not command:
                    return self._checked(state, CheckEnd(exit_code=-1, took_us=0, output=_NO_TESTS))
            case CommandHolds(command=line):
                command = ("/bin/sh", "-c", line)
            case _:
                return Checked(result=CheckResult(passed=False))
        async with self._places:
            self._checks[state.id] = check
            wish = CheckWish(
                id=check,
                command=command,
                folder=folder,
                environment=self._environment(state),
                timeout_s=loop.check_timeout_s,
            )
            try:
                end = await asyncio.to_thread(self._checker.run, wish)
            except asyncio.CancelledError:
                self._checker.cancel(check)  # or its thread would hold up the end of the daemon
                raise
            finally:
                self._checks.pop(state.id, None)
        return self._checked(state, end)

    def _checked(self, state: AgentState, end: CheckEnd) -> Checked:
        masked = self._masker(state).mask(end.output, final=True)
        return Checked(
            result=CheckResult(
                passed=end.exit_code == 0 and not end.timed_out,
                exit_code=end.exit_code,
                took_us=end.took_us,
                timed_out=end.timed_out,
            ),
            output=masked.data.decode("utf-8", "replace"),
        )


def _parked_until(turn: Turn, goal: GoalState, now_us: int) -> int:
    """When the account may be used again: as it was told, or after a wait that doubles."""
    if turn.resets_us > now_us:
        return turn.resets_us
    return now_us + min(_PARK_MOST_US, _PARK_US << min(goal.parked, 10))
