"""From what a machine's, a namespace's and a repository's files say, and what an agent's spec says, to its `Policy`.

The spec is the last word: it is what the person said for this very agent. Not here: the files (`policy_file.py` reads
their text, `kaged/policies` finds them).
"""

from dataclasses import replace
from typing import Final, Protocol

from kaged.domain.frozen import frozen
from kaged.domain.place_spec import Guard
from kaged.guardrails.context import PeopleRule, Policy


@frozen
class Ground:
    """What holds in a folder: the policy of its files, and the folder that counts as the workspace there.

    `approve_from`: the place that names the level; empty: nobody does.
    """

    policy: Policy = Policy()
    workspace: str = ""
    approve_from: str = ""


class Grounds(Protocol):
    """Where policies come from."""

    def ground(self, namespace: str, folder: str) -> Ground:
        """Read what holds for agents of a namespace that work in a folder. Raises Invalid for a file that is wrong."""


class NoFiles:
    """What holds without any file."""

    def ground(self, namespace: str, folder: str) -> Ground:
        """The defaults, and the folder itself."""
        return Ground(workspace=folder)


def with_guard(policy: Policy, guard: Guard, agent: str) -> Policy:
    """The policy with what a spec adds to it, and with the level that it names instead of the policy's."""
    rules = tuple(
        PeopleRule(
            verdict=rule.verdict, tool=rule.tool, path=rule.path, command=rule.command, scope="agent", owner=agent,
            expires_us=rule.expires_us, source="its spec",
        )
        for rule in guard.rules
    )  # fmt: skip
    return replace(
        policy,
        approve=guard.approve or policy.approve,
        rules=(*policy.rules, *rules),
        protected=(*policy.protected, *guard.protected_paths),
        hosts_allowed=(*policy.hosts_allowed, *guard.hosts),
        hosts_other="deny" if guard.hosts else policy.hosts_other,
        answer_within_s=guard.answer_within_s or policy.answer_within_s,
    )


NO_FILES: Final[Grounds] = NoFiles()
