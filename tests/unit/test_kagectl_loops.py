"""What people write about a loop becomes what the API means, or is refused with the right form."""

import click
import pytest

from kagectl import loops
from kagectl.commands.agent.spec_options import SpecVerb, spec_options
from kagectl.errors import Complaint
from kagectl.specfile import agent_file
from kaged.api.v1 import goal_pb2 as pb


@pytest.mark.parametrize(
    "text",
    [
        "cmd: make test",
        "file-exists: out/a.txt",
        "file-contains: a.txt ^done$",
        "output: all (is )?well",
        "tests",
        "agent-says-done",
    ],
)
def test_a_criterion_reads_back_as_it_was_written(text):
    assert loops.written(loops.criterion(text)) == text


@pytest.mark.parametrize("text", ["make test", "cmd:", "file-contains: a.txt", "tests: yes", "", "output:"])
def test_what_is_no_criterion_is_refused_with_what_would_be(text):
    with pytest.raises(Complaint) as refused:
        loops.criterion(text)
    assert "cmd: " in str(refused.value.hint)


@pytest.mark.parametrize(
    ("text", "microusd"),
    [("5usd", 5_000_000), ("$0.50", 500_000), ("50ct", 500_000), ("0.0001", 100), ("2 USD", 2_000_000)],
)
def test_money_is_read_in_the_usual_forms(text, microusd):
    assert loops.cost_microusd(text, what="x") == microusd


@pytest.mark.parametrize(("text", "count"), [("200k", 200_000), ("1.5M", 1_500_000), ("50000", 50_000)])
def test_counts_are_read_with_their_letters(text, count):
    assert loops.tokens(text, what="x") == count


@pytest.mark.parametrize("text", ["five", "5eur", "-1", "1e3k"])
def test_amounts_that_are_none_are_refused(text):
    for read in (loops.tokens, loops.cost_microusd):
        with pytest.raises(Complaint):
            read(text, what="x")


def test_aborts_are_counts_a_pattern_or_never():
    found = pb.AbortCriteria()
    loops.abort(["never", "errors: 2", "no-progress: 7", "output: cannot"], found)
    assert (found.errors, found.repeats, found.no_progress, found.output_matches) == (2, 0, 7, "cannot")
    assert found.HasField("repeats")
    with pytest.raises(Complaint):
        loops.abort(["errors: some"], found)


def test_a_spec_file_holds_the_same_words():
    spec = agent_file(
        {
            "goal": "g", "namespace": "web", "priority": -3, "after": ["a"],
            "loop": {
                "until": ["tests", "cmd: true"], "any": True, "max_cost": "2usd", "max_tokens": "1k",
                "abort": ["errors: 1"],
            },
        }
    )  # fmt: skip
    loop = spec.loop
    assert [loops.written(each) for each in loop.success] == ["tests", "cmd: true"]
    assert (loop.any, loop.limits.cost_microusd, loop.limits.tokens, loop.abort.errors) == (True, 2_000_000, 1000, 1)
    assert (spec.namespace, spec.priority, list(spec.after)) == ("web", -3, ["a"])
    with pytest.raises(Complaint, match="max_iteration"):
        agent_file({"goal": "g", "loop": {"max_iteration": 3}})


@pytest.mark.parametrize(
    ("words", "goal", "command"),
    [
        (["fix the tests", "--agent", "claude"], "fix the tests", ()),
        (["--agent", "claude", "fix the tests"], "fix the tests", ()),
        (["--", "a program", "x"], None, ("a program", "x")),
        (["make", "a b"], None, ("make", "a b")),
        (["fix the tests", "--adapter", "jsonl", "--", "python3", "a b"], "fix the tests", ("python3", "a b")),
    ],
)
def test_a_sentence_in_front_is_the_goal_and_everything_behind_dashes_is_the_command(words, goal, command):
    heard: dict[str, object] = {}

    @click.command(cls=SpecVerb, context_settings={"allow_interspersed_args": False})
    @spec_options
    def verb(**options: object) -> None:
        heard.update(options)

    verb.main(words, standalone_mode=False)
    assert (heard["goal"], heard["command"]) == (goal, command)


@pytest.mark.parametrize(
    "words",
    [["shrink", "--until", "cmd: true", "--", "./shrink.py"], ["fix", "--agent", "claude"]],
)
def test_a_goal_of_one_word_is_not_taken_for_a_command_that_swallows_the_options(words):
    @click.command(cls=SpecVerb, context_settings={"allow_interspersed_args": False})
    @spec_options
    def verb(**options: object) -> None:
        raise AssertionError(options)

    with pytest.raises(Complaint, match="a goal or a command"):
        verb.main(words, standalone_mode=False)


@pytest.mark.parametrize("words", [["npm", "-C", "web", "test", "--", "--watch"], ["tool", "--agent", "of its own"]])
def test_a_commands_own_options_are_its_own(words):
    heard: dict[str, object] = {}

    @click.command(cls=SpecVerb, context_settings={"allow_interspersed_args": False})
    @spec_options
    def verb(**options: object) -> None:
        heard.update(options)

    verb.main(words, standalone_mode=False)
    assert (heard["goal"], heard["command"]) == (None, tuple(words))
