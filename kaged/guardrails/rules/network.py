"""Network destinations, where they can be seen: URLs, `curl`, `ssh`, remotes of git.

Not a wall: a program that is run can reach whatever it likes without saying so (docs/guardrails.md).
"""

from typing import Final

from kaged.guardrails.action import Action
from kaged.guardrails.context import Context
from kaged.guardrails.shell.words import UNKNOWN
from kaged.guardrails.verdict import PASS, Verdict, VerdictWord, strictest

RULE: Final = "network"
_OWN: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104  a name, nothing is bound


def judge(action: Action, context: Context) -> Verdict:
    """A denied host is denied; one that is neither allowed nor denied gets what the policy says of others."""
    return strictest(_of(host, context) for host in dict.fromkeys(action.reached))


def _of(host: str, context: Context) -> Verdict:
    policy = context.policy
    if host in _OWN or host.endswith(".localhost"):
        return PASS
    others: VerdictWord = policy.hosts_other
    if UNKNOWN in host:
        if policy.hosts_denied and others == "allow":
            others = "ask"
        if others == "allow":
            return PASS
        return Verdict(verdict=others, rule=RULE, why="which machine it reaches is not known")
    if any(host_fits(host, pattern) for pattern in policy.hosts_denied):
        return Verdict(verdict="deny", rule=RULE, why=f"{host} may not be reached")
    if any(host_fits(host, pattern) for pattern in policy.hosts_allowed) or others == "allow":
        return PASS
    return Verdict(verdict=others, rule=RULE, why=f"{host} is not among the hosts that it may reach")


def host_fits(host: str, pattern: str) -> bool:
    """`example.org` fits itself; `*.example.org` what is below it; `*` everything."""
    pattern = pattern.lower().rstrip(".")
    host = host.rstrip(".")
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
