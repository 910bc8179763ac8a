"""What a person said in advance: `allow`, `deny` or `ask` by tool, by path, by command.

A `deny` or an `ask` fits when any part of an action fits; an `allow` when all of it does: every command of a line,
every path that is written. So `allow git status` does not let `git status; rm -rf x` through. Nothing that cannot be
read is ever allowed by a rule. Among several rules that fit, the strictest holds.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kaged.guardrails.action import WRITING, Action, Step
from kaged.guardrails.context import Context, PeopleRule
from kaged.guardrails.paths import fits, inside, may_fit
from kaged.guardrails.shell.wrappers import SHELLS
from kaged.guardrails.verdict import Verdict, strictest

_ALIASES: Final = {"bash": "command", "shell": "command", "execute": "command", "exec": "command"}


def judge(action: Action, context: Context) -> Verdict:
    """The strictest of the rules that fit."""
    return strictest(_verdicts(action, context))


def _verdicts(action: Action, context: Context) -> Iterator[Verdict]:
    rules = [rule for rule in context.policy.rules if holds(rule, context)]
    for rule in rules:
        if rule.verdict != "allow" and _some(rule, action, context):
            yield Verdict(verdict=rule.verdict, rule=name_of(rule), why=said(rule))
    allowed = covering([rule for rule in rules if rule.verdict == "allow"], action, context)
    if allowed:
        yield Verdict(verdict="allow", rule=name_of(allowed[0]), why=said(allowed[0]))


def allows(action: Action, context: Context) -> bool:
    """Whether a person has allowed all of it in advance."""
    rules = [rule for rule in context.policy.rules if rule.verdict == "allow" and holds(rule, context)]
    return bool(covering(rules, action, context))


def holds(rule: PeopleRule, context: Context) -> bool:
    """Whether a rule is meant for this agent, now."""
    if rule.expires_us and context.now_us >= rule.expires_us:
        return False
    match rule.scope:
        case "once":
            return rule.owner == context.agent and rule.id not in context.spent
        case "agent":
            return rule.owner in ("", context.agent)
        case "namespace":
            return rule.owner == context.namespace
        case "everywhere":
            return True


def name_of(rule: PeopleRule) -> str:
    """What a rule is called in events: `rules.deny`, and its id where it has one."""
    return f"rules.{rule.verdict}.{rule.id}" if rule.id else f"rules.{rule.verdict}"


def said(rule: PeopleRule) -> str:
    """A rule in words."""
    parts = [f"{name} {value!r}" for name in ("tool", "path", "command") if (value := getattr(rule, name))]
    text = f"{rule.verdict} {', '.join(parts) or 'everything'}"
    return f"{text} ({rule.source})" if rule.source else text


def _some(rule: PeopleRule, action: Action, context: Context) -> bool:
    """Whether any part of an action fits. Used for `ask` and `deny`: in doubt it fits."""
    if rule.tool and not tool_fits(rule.tool, action):
        return False
    if rule.path and not any(
        may_fit(each, rule.path, context.workspace, context.home)
        for path in action.mentioned
        for each in context.really(path)
    ):
        return False
    if rule.command:
        line = action.line.strip()
        return command_fits(rule.command, line) or any(
            command_fits(rule.command, text) for step in action.steps for text in _spellings(step)
        )
    return True


def covering(rules: list[PeopleRule], action: Action, context: Context) -> list[PeopleRule]:
    """Rules that together allow all of an action; none when any of it is left."""
    if action.unknown or not rules:
        return []
    used: list[PeopleRule] = []
    if action.kind != "command":
        for rule in rules:
            if not rule.command and _whole(rule, action, context):
                return [rule]
        return []
    for step in action.steps:
        if transparent(step):
            continue  # what it starts is a step of its own
        found = next((rule for rule in rules if _step_allowed(rule, step, action, context)), None)
        if found is None:
            return []
        used.append(found)
        if found.command and any(redirect.kind == "write" for redirect in step.command.redirects):
            for path in step.effects.writes:
                writer = next((r for r in rules if r.path and not r.command and _all_fit(r, path, context)), None)
                if writer is None:
                    return []
                used.append(writer)
    return used


_STARTERS: Final = frozenset({"timeout", "nice", "nohup", "time", "stdbuf", "env", "command", "builtin", "exec", "cd"})


def transparent(step: Step) -> bool:
    """It only starts what is looked at by itself, or changes the folder, which is looked at as well."""
    command = step.command
    if command.redirects or command.assigned or not step.effects.harmless:
        return False
    return command.name in SHELLS or command.name in _STARTERS


def _whole(rule: PeopleRule, action: Action, context: Context) -> bool:
    if rule.tool and not tool_fits(rule.tool, action):
        return False
    if not rule.path:
        return True
    return bool(action.paths) and all(_all_fit(rule, path, context) for path in action.paths)


def _all_fit(rule: PeopleRule, path: str, context: Context) -> bool:
    return all(fits(each, rule.path, context.workspace, context.home) for each in context.really(path))


def _step_allowed(rule: PeopleRule, step: Step, action: Action, context: Context) -> bool:
    if rule.path or (rule.tool and not tool_fits(rule.tool, action)):
        return False
    command = step.command
    if not rule.command:
        return True
    inside_workspace = bool(command.folders) and all(inside(folder, context.workspace) for folder in command.folders)
    exact = all(word.exact for word in command.words) and not command.assigned
    return exact and inside_workspace and command_fits(rule.command, command.text)


def _spellings(step: Step) -> Iterator[str]:
    """A command as it is, and with its program's name alone."""
    command = step.command
    yield command.text
    if command.name and command.words[0].text != command.name:
        yield " ".join((command.name, *(word.text for word in command.words[1:])))
    if command.name == "git":
        yield " ".join(("git", *_without_globals(command.text.split(" ")[1:])))


def _without_globals(words: list[str]) -> list[str]:
    """`git -C x push` is `git push`."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("-c", "-C", "--git-dir", "--work-tree", "--namespace", "--config-env") else 1
    return words[at:]


def tool_fits(pattern: str, action: Action) -> bool:
    """By the agent's own name for it, or by the kind that it is; capitals do not matter, `*` fits anything."""
    wanted = pattern.lower()
    names = (action.tool.lower(), action.kind)
    if action.kind in WRITING and wanted == "write":
        return True
    return _ALIASES.get(wanted, wanted) in names or any(_glob(wanted).fullmatch(name) for name in names)


def command_fits(pattern: str, text: str) -> bool:
    """`*` fits anything; a pattern that ends in ` *` also fits without arguments."""
    text = " ".join(text.split())
    pattern = " ".join(pattern.split())
    if pattern.endswith(" *") and text == pattern[:-2]:
        return True
    return _glob(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    letters = re.sub(r"\*+", "*", pattern)
    pieces = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in letters)
    return re.compile("".join(pieces), re.DOTALL)
