"""A loop, a workspace and a guard, parts of a spec, between the domain and the wire. Defaults are filled in here."""

from typing import Final

from kaged.api.v1 import goal_pb2, spec_pb2
from kaged.domain.goal_spec import (
    AbortCriteria,
    AgentSaysDone,
    CommandHolds,
    Criterion,
    FileContains,
    FileExists,
    GoalLimits,
    GoalLoop,
    OutputMatches,
    TestsPass,
)
from kaged.domain.place_spec import ApproveLevel, Guard, GuardRule, Verdict, Workspace, WorkspaceKind

_KINDS: Final[dict[WorkspaceKind, spec_pb2.WorkspaceKind]] = {
    "here": spec_pb2.WORKSPACE_KIND_HERE,
    "worktree": spec_pb2.WORKSPACE_KIND_WORKTREE,
    "copy": spec_pb2.WORKSPACE_KIND_COPY,
}
_KIND_WORDS: Final = {number: word for word, number in _KINDS.items()}
_VERDICTS: Final[tuple[Verdict, ...]] = ("allow", "deny", "ask")
_LEVELS: Final[tuple[ApproveLevel, ...]] = ("", "none", "on-write", "on-commit", "always")


def loop_to_wire(loop: GoalLoop, *, text: bool = True) -> goal_pb2.GoalLoop:
    """A loop as a message; without `text` its criteria are left out."""
    abort = goal_pb2.AbortCriteria(
        errors=loop.abort.errors, repeats=loop.abort.repeats, no_progress=loop.abort.no_progress
    )
    message = goal_pb2.GoalLoop(
        any=loop.any,
        abort=abort,
        limits=limits_to_wire(loop.limits),
        check_timeout_s=loop.check_timeout_s,
        checkpoint_every=loop.checkpoint_every,
        run_is_turn=loop.run_is_turn,
    )
    if text:
        message.success.extend(_criterion_to_wire(each) for each in loop.success)
        message.abort.output_matches = loop.abort.output_matches
    return message


def loop_from_wire(message: goal_pb2.GoalLoop) -> GoalLoop:
    """A loop. Criteria of a kind that this release does not know are left out: `unknown_criteria` names them."""
    abort, usual = message.abort, AbortCriteria()
    return GoalLoop(
        success=tuple(found for each in message.success if (found := _criterion_from_wire(each)) is not None),
        any=message.any,
        abort=AbortCriteria(
            errors=abort.errors if abort.HasField("errors") else usual.errors,
            repeats=abort.repeats if abort.HasField("repeats") else usual.repeats,
            no_progress=abort.no_progress if abort.HasField("no_progress") else usual.no_progress,
            output_matches=abort.output_matches,
        ),
        limits=limits_from_wire(message.limits),
        check_timeout_s=message.check_timeout_s or 600,
        checkpoint_every=message.checkpoint_every,
        run_is_turn=message.run_is_turn,
    )


def unknown_criteria(message: goal_pb2.GoalLoop) -> list[int]:
    """Places of criteria that say nothing which this release knows."""
    return [at for at, each in enumerate(message.success) if _criterion_from_wire(each) is None]


def limits_to_wire(limits: GoalLimits) -> goal_pb2.GoalLimits:
    """Limits as a message."""
    return goal_pb2.GoalLimits(
        iterations=limits.iterations,
        tokens=limits.tokens,
        cost_microusd=limits.cost_microusd,
        time_s=limits.time_us / 1e6,
    )


def limits_from_wire(message: goal_pb2.GoalLimits) -> GoalLimits:
    """Limits from a message."""
    return GoalLimits(
        iterations=message.iterations,
        tokens=message.tokens,
        cost_microusd=message.cost_microusd,
        time_us=round(message.time_s * 1e6),
    )


def _criterion_to_wire(criterion: Criterion) -> goal_pb2.Criterion:
    match criterion:
        case CommandHolds():
            return goal_pb2.Criterion(command=criterion.command)
        case FileExists():
            return goal_pb2.Criterion(file_exists=criterion.path)
        case FileContains():
            return goal_pb2.Criterion(
                file_contains=goal_pb2.FileContains(path=criterion.path, pattern=criterion.pattern)
            )
        case OutputMatches():
            return goal_pb2.Criterion(output_matches=criterion.pattern)
        case TestsPass():
            return goal_pb2.Criterion(tests=True)
        case AgentSaysDone():
            return goal_pb2.Criterion(agent_says_done=True)


def _criterion_from_wire(message: goal_pb2.Criterion) -> Criterion | None:
    match message.WhichOneof("kind"):
        case "command":
            return CommandHolds(command=message.command)
        case "file_exists":
            return FileExists(path=message.file_exists)
        case "file_contains":
            return FileContains(path=message.file_contains.path, pattern=message.file_contains.pattern)
        case "output_matches":
            return OutputMatches(pattern=message.output_matches)
        case "tests":
            return TestsPass()
        case "agent_says_done":
            return AgentSaysDone()
        case _:
            return None


def workspace_to_wire(workspace: Workspace) -> spec_pb2.Workspace:
    """A workspace as a message."""
    return spec_pb2.Workspace(
        kind=_KINDS[workspace.kind],
        repository=workspace.repository,
        base=workspace.base,
        branch=workspace.branch,
        setup=workspace.setup,
        cleanup=workspace.cleanup,
        copy=workspace.copy,
    )


def workspace_from_wire(message: spec_pb2.Workspace) -> Workspace:
    """A workspace from a message."""
    return Workspace(
        kind=_KIND_WORDS.get(message.kind, "here"),
        repository=message.repository,
        base=message.base,
        branch=message.branch,
        setup=message.setup,
        cleanup=message.cleanup,
        copy=tuple(message.copy),
    )


def guard_to_wire(guard: Guard) -> spec_pb2.Guard:
    """A guard as a message."""
    rules = [
        spec_pb2.GuardRule(
            verdict=rule.verdict, tool=rule.tool, path=rule.path, command=rule.command, expires_us=rule.expires_us
        )
        for rule in guard.rules
    ]
    return spec_pb2.Guard(
        approve=guard.approve,
        rules=rules,
        protected_paths=guard.protected_paths,
        hosts=guard.hosts,
        answer_within_s=guard.answer_within_s,
    )


def guard_from_wire(message: spec_pb2.Guard) -> Guard:
    """A guard from a message. Words that are not known read as the most careful: `ask`, `always`."""
    return Guard(
        approve=next((level for level in _LEVELS if level == message.approve), "always"),
        rules=tuple(_rule_from_wire(rule) for rule in message.rules),
        protected_paths=tuple(message.protected_paths),
        hosts=tuple(message.hosts),
        answer_within_s=message.answer_within_s,
    )


def _rule_from_wire(rule: spec_pb2.GuardRule) -> GuardRule:
    verdict: Verdict = next((word for word in _VERDICTS if word == rule.verdict), "ask")
    return GuardRule(verdict=verdict, tool=rule.tool, path=rule.path, command=rule.command, expires_us=rule.expires_us)
