"""The rules that let more of the same through: of a question that was answered with "yes, and always". Pure.

The command of each step of a line as it stands, the files of an edit, or else the tool. A person's own pattern takes
their place. What comes out is proved on the question itself: rules that would not have let it through are refused, and
so is what the level of approval did not ask about. Loaded for the first such answer.
"""

from collections.abc import Callable, Iterator
from typing import Final

from kaged.domain.errors import Invalid
from kaged.domain.events.rule import RuleAdded
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.domain.machines.approval import ApprovalState
from kaged.guardrails.action import WRITING, Action
from kaged.guardrails.context import Context, PeopleRule, Policy
from kaged.guardrails.paths import below, pattern_problem
from kaged.guardrails.rules import people
from kaged.guardrails.tools.registry import understood
from kaged.runtime.wishes import Wish

_BY_LEVEL: Final = "approve."
_MAX_PATTERN: Final = 4096
_GLOB: Final = frozenset("*?[")


@frozen
class Scene:
    """What is known around the agent that asks. Times are microseconds since 1970 UTC."""

    workspace: str
    home: str
    now_us: int


def rules_for(
    question: ApprovalState, state: AgentState, wish: Wish, scene: Scene, new_id: Callable[[], str]
) -> list[RuleAdded]:
    """The rules that a wish comes to. Raises Invalid with what is in the way."""
    if question.kind == "question":
        raise Invalid(("remember", "a question has no rule that answers it"), hint="answer it: kagectl approval answer")
    if not question.rule.startswith(_BY_LEVEL):
        raise Invalid(
            ("remember", f"the rule {question.rule or 'of the agent'} asks about this whatever is allowed"),
            hint="approve it once; the policy that holds it back is changed in its file (docs/guardrails.md)",
        )
    if wish.path and (problem := pattern_problem(wish.path)):
        raise Invalid(("remember.path", f"{wish.path!r} {problem}"))
    if max(len(wish.path), len(wish.command)) > _MAX_PATTERN:
        raise Invalid(("remember", f"a pattern has at most {_MAX_PATTERN} characters"))
    action = understood(
        state.spec.adapter, question.tool, question.data_json, question.title, folder=state.cwd, home=scene.home
    )
    patterns = list(dict.fromkeys(_patterns(action, wish, scene.workspace)))
    owner = state.id if wish.scope == "agent" else state.spec.namespace
    rules = [
        PeopleRule(verdict="allow", tool=tool, path=path, command=command, scope=wish.scope, owner=owner)
        for tool, path, command in patterns
    ]
    context = Context(
        policy=Policy(rules=tuple(rules)), workspace=scene.workspace, home=scene.home, agent=state.id,
        namespace=state.spec.namespace, now_us=scene.now_us,
    )  # fmt: skip
    if not people.allows(action, context):
        raise Invalid(
            ("remember", "no rule of this kind would let it through"),
            hint="approve it once; or say which: --command 'git commit *', --path 'src/**'",
        )
    expires_us = scene.now_us + int(wish.for_s * 1e6) if wish.for_s else 0
    return [
        RuleAdded(
            rule=new_id(), verdict="allow", tool=rule.tool, path=rule.path, command=rule.command, scope=wish.scope,
            owner=owner, expires_us=expires_us, approval=question.id,
        )
        for rule in rules
    ]  # fmt: skip


def _patterns(action: Action, wish: Wish, workspace: str) -> Iterator[tuple[str, str, str]]:
    """(tool, path, command) of each rule."""
    if wish.command or wish.path:
        if wish.command:
            yield "", "", wish.command
        if wish.path:
            yield "write" if action.kind in WRITING else "", wish.path, ""
        return
    if action.kind == "command":
        for step in action.steps:
            if not people.transparent(step):
                yield "", "", _exactly(step.command.text)
        return
    if action.paths:
        for path in action.paths:
            yield "write" if action.kind in WRITING else action.kind, _exactly(_anchored(path, workspace)), ""
        return
    yield action.tool, "", ""


def _exactly(text: str) -> str:
    """A text as the pattern that fits it alone. Raises Invalid for one that cannot be."""
    if _GLOB & set(text):
        raise Invalid(
            ("remember", f"{text!r} holds letters that a pattern reads otherwise"),
            hint="approve it once; or write the pattern: --command 'grep *', --path 'src/**'",
        )
    return text


def _anchored(path: str, workspace: str) -> str:
    """A path as a pattern for this file alone: one without a slash would fit files of its name at any depth."""
    return f"./{path[len(workspace.rstrip('/')) + 1 :]}" if below(path, workspace) else path
