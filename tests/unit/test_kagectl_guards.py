"""Guards as people write them: options and spec files become one message, and faults are named."""

import tomllib

import pytest

from kagectl.errors import Complaint
from kagectl.specfile import agent_file
from kagectl.specs import SpecOptions, spec_of
from kaged.api.v1 import spec_pb2 as pb


def made(base: pb.AgentSpec | None = None, **options: object) -> pb.Guard:
    words = SpecOptions(command=("x",), **options)  # type: ignore[arg-type]  # names of options
    spec = spec_of(words, base=base or pb.AgentSpec(), env={"PATH": "/bin"}, here="/there")
    return spec.guard


def test_options_become_a_guard_and_none_of_them_none():
    guard = made(
        approve="on-commit", allow=("make *", "path:src/**"), deny=("tool:WebFetch", "command:git push*"), ask=("x",),
        protect=("*.lock",), host=("*.example.org",), answer_within="8h",
    )  # fmt: skip
    assert [(rule.verdict, rule.command or rule.path or rule.tool) for rule in guard.rules] == [
        ("allow", "make *"), ("allow", "src/**"), ("ask", "x"), ("deny", "WebFetch"), ("deny", "git push*"),
    ]  # fmt: skip
    assert (guard.approve, list(guard.protected_paths), list(guard.hosts)) == (
        "on-commit",
        ["*.lock"],
        ["*.example.org"],
    )
    assert guard.answer_within_s == 8 * 3600
    assert guard != pb.Guard()
    assert made() == pb.Guard()


def test_a_command_with_a_colon_is_a_command():
    assert made(deny=("npm run deploy:prod",)).rules[0].command == "npm run deploy:prod"


@pytest.mark.parametrize("rule", ["", "  ", "path:", "tool: "])
def test_a_rule_that_says_nothing_is_refused(rule):
    with pytest.raises(Complaint, match="--deny"):
        made(deny=(rule,))


def test_a_spec_file_has_the_same_words_and_options_go_on_top():
    text = """
command = ["x"]
[guard]
approve = "always"
deny = ["git push*"]
protected = ["a"]
hosts = ["h.example"]
answer_within = "1h"
"""
    base = agent_file(tomllib.loads(text))
    guard = made(base, approve="none", deny=("rm*",), protect=("b",))
    assert (guard.approve, list(guard.protected_paths), guard.answer_within_s) == ("none", ["a", "b"], 3600)
    assert [rule.command for rule in guard.rules] == ["git push*", "rm*"]
    with pytest.raises(Complaint, match=r"guard\.aprove"):
        agent_file({"command": ["x"], "guard": {"aprove": "none"}})
    with pytest.raises(Complaint, match=r"guard\.approve"):
        agent_file({"command": ["x"], "guard": {"approve": "sometimes"}})
