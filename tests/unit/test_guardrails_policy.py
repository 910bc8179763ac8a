"""Policy files: layers, origins, what a repository may not say, and errors that point at the place."""

import json
from dataclasses import replace

import pytest

from kaged.adapters.registry import ADAPTERS
from kaged.domain.assignment import Assignment
from kaged.domain.errors import Invalid
from kaged.domain.place_spec import Guard, GuardRule, Workspace
from kaged.domain.spec import AgentSpec
from kaged.guardrails import admission, levels
from kaged.guardrails.keys import KEYS, nearest
from kaged.guardrails.layers import DEFAULT, Merged, merge
from kaged.guardrails.policy import Ground
from kaged.guardrails.policy_file import PolicyWrong, from_environment, read
from kaged.policies.files import PolicyFiles


def merged(user: str = "", repository: str = "", environ: dict[str, str] | None = None, namespace: str = "x") -> Merged:
    layers = (
        read(user, "user.toml", namespaces=True),
        read(repository, ".kage/config.toml", namespaces=False, tightens=True),
        from_environment(environ or {}),
    )
    return merge(layers, namespace)


def test_a_later_layer_takes_the_place_of_an_earlier_one_and_says_where_it_stands():
    found = merged(
        '[guard]\napprove = "none"\n\n[namespace.x.guard]\napprove = "on-commit"\n',
        '[guard]\napprove = "on-write"\n',
        {"KAGE_GUARD_APPROVE": "none"},
    )
    assert found.policy.approve == "none"
    assert found.origin("guard.approve") == "KAGE_GUARD_APPROVE"
    found = merged('[guard]\napprove = "none"\n\n[namespace.x.guard]\napprove = "on-commit"\n')
    assert (found.policy.approve, found.origin("guard.approve")) == ("on-commit", "user.toml:5 (namespace x)")
    assert merged('[namespace.y.guard]\napprove = "none"\n').origin("guard.approve") == DEFAULT


def test_lists_grow_over_the_layers_and_name_all_of_them():
    found = merged('[guard]\nprotected = ["a"]\n', '[guard]\nprotected = ["b/"]\n', {"KAGE_GUARD_PROTECTED": "c, d"})
    assert found.policy.protected == ("a", "b/", "c", "d")
    assert found.keys["guard.protected"].origins == ("user.toml:2", ".kage/config.toml:2", "KAGE_GUARD_PROTECTED")


def test_rules_know_their_line_and_their_end():
    text = """
[[guard.rules]]
verdict = "deny"
command = "git push*"

[[guard.rules]]
verdict = "allow"
tool = "Read"
expires = 2030-01-01T00:00:00Z
"""
    rules = merged(text).policy.rules
    assert [(rule.verdict, rule.source) for rule in rules] == [("deny", "user.toml:2"), ("allow", "user.toml:6")]
    assert rules[1].expires_us == 1_893_456_000_000_000


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("guard = 1", 1, "guard", "must be a table"),
        ("[guard\n", 1, "", "no TOML"),
        ("\n\nx = = 1\n", 3, "", "no TOML"),
        ("\n[guard]\napprov = 'none'\n", 3, "guard.approv", "guard.approve?"),
        ("[gaurd]\napprove = 'none'\n", 1, "gaurd", "guard"),
        ("[guard]\n\napprove = 'sometimes'\n", 3, "guard.approve", "none, on-commit, on-write, always"),
        ("[guard]\napprove = 1\n", 2, "guard.approve", "1 is not one of"),
        ("[guard.commands]\n# no\nforce_push = 'deny'\n", 3, "guard.commands.force_push", "guard.commands.force-push?"),
        ("[guard.commands]\nforce-push = 'perhaps'\n", 2, "guard.commands.force-push", "allow, ask, deny"),
        ("[guard]\nprotected = 'x'\n", 2, "guard.protected", "list of texts"),
        ("[guard]\nprotected = ['a', 3]\n", 2, "guard.protected", "3 is not a text"),
        ("[guard]\nprotected = ['a[']\n", 2, "guard.protected", "without its `]`"),
        ("[guard]\nprotected = ['']\n", 2, "guard.protected", "is empty"),
        ("[guard.network]\ndeny = ['http://x']\n", 2, "guard.network.deny", "not the name of a host"),
        ("[guard.loop]\ncalls = -1\n", 2, "guard.loop.calls", "whole number"),
        ("[guard.loop]\ncalls = true\n", 2, "guard.loop.calls", "whole number"),
        ("[guard.flood]\nbytes-per-minute = '1 potato'\n", 2, "guard.flood.bytes-per-minute", "no size"),
        ("[guard.secrets]\npatterns = 'yes'\n", 2, "guard.secrets.patterns", "neither true nor false"),
        ("[guard]\nanswer-within = []\n", 2, "guard.answer-within", "no duration"),
        ("[[guard.rules]]\nverdict = 'deny'\n[[guard.rules]]\nverdict = 'no'\n", 3, "guard.rules.verdict", "'no'"),
        ("[[guard.rules]]\nverdict = 'deny'\npaht = 'x'\n", 1, "guard.rules.paht", "verdict, tool, path"),
        ("[[guard.rules]]\nverdict = 'deny'\npath = 'a'\ncommand = 'b'\n", 1, "guard.rules", "make two rules"),
        ("[[guard.rules]]\nverdict = 'deny'\nexpires = 2030-01-01\n", 1, "guard.rules.expires", "with its zone"),
        ("[guard]\nrules = ['x']\n", 2, "guard.rules", "not a table"),
        ("x = '''\n[guard]\n'''\n[guard]\nno = 1\n", 1, "x", "is not a key"),
        ("[guard]\n'approve' = 'x'\n", 2, "guard.approve", "'x' is not one of"),
        ("guard.approve = 'x'\n", 1, "guard.approve", "'x' is not one of"),
        ("guard = { approve = 'x' }\n", 1, "guard.approve", "'x' is not one of"),
        ("[namespace.x]\nguard = 1\n", 1, "namespace.x", "is not a key"),
        ("[namespace.x.gard]\na = 1\n", 1, "namespace.x.gard", "is not a key"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_file_line_and_key(text, line, key, says):
    with pytest.raises(PolicyWrong) as caught:
        read(text, "user.toml", namespaces=True)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert str(caught.value).startswith(f"user.toml:{line}:")
    assert says in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("user", "repository", "line"),
    [
        ("[guard]\napprove = 'on-write'\n", "[guard]\napprove = 'on-commit'\n", 2),
        ("", "[guard]\napprove = 'none'\n", 2),
        ("", "[guard]\noutside = 'allow'\n", 2),
        ("[guard.commands]\nforce-push = 'deny'\n", "[guard.commands]\n\nforce-push = 'ask'\n", 3),
        ("", "[guard.commands]\ndisk = 'ask'\n", 2),
        ("", "[guard]\nwritable = ['/tmp/**']\n", 2),
        ("", "[guard.network]\nallow = ['x.example']\n", 2),
        ("", "[guard.secrets]\npatterns = false\n", 2),
        ("", "[guard.loop]\ncalls = 6\n", 2),
        ("", "[guard.loop]\ncalls = 0\n", 2),
        ("", "[guard.flood]\nbytes-per-minute = '1GiB'\n", 2),
        ("", "[guard]\nanswer-within = '1h'\n", 2),
        ("", "[[guard.rules]]\nverdict = 'allow'\n", 1),
        ("", "[namespace.x.guard]\napprove = 'always'\n", 1),
    ],
)  # fmt: skip
def test_a_repository_that_loosens_is_refused_at_its_line(user, repository, line):
    with pytest.raises(PolicyWrong) as caught:
        merged(user, repository)
    assert (caught.value.place, caught.value.line) == (".kage/config.toml", line)


def test_a_repository_may_tighten_all_that_it_likes():
    text = """
[guard]
approve = "always"
protected = ["x"]
outside = "deny"
[guard.commands]
force-push = "deny"
[guard.network]
deny = ["x.example"]
other = "ask"
[guard.loop]
calls = 2
[[guard.rules]]
verdict = "deny"
command = "x"
[guard.flood]
bytes-per-minute = "1MiB"
"""
    policy = merged(repository=text).policy
    assert (policy.outside, policy.dangers["force-push"], policy.loop_calls) == ("deny", "deny", 2)
    assert (policy.hosts_other, policy.flood_bytes, policy.rules[0].verdict) == ("ask", 1 << 20, "deny")


def test_a_person_can_take_back_for_one_daemon_what_a_repository_tightened():
    found = merged(repository="[guard]\noutside = 'deny'\n", environ={"KAGE_GUARD_OUTSIDE": "allow"})
    assert found.policy.outside == "allow"


def test_the_environment_is_checked_like_a_file():
    rules = '[{verdict="deny",command="x"}]'
    found = merged(
        environ={"KAGE_GUARD_RULES": rules, "KAGE_GUARD_SECRETS_PATTERNS": "false", "KAGE_GUARD_LOOP_CALLS": "7"}
    )
    assert (found.policy.rules[0].command, found.policy.secret_patterns, found.policy.loop_calls) == ("x", False, 7)
    for name, value in (("KAGE_GUARD_APROVE", "none"), ("KAGE_GUARD_APPROVE", "x"), ("KAGE_GUARD_RULES", "x"),
                        ("KAGE_GUARD_LOOP_CALLS", "many"), ("KAGE_GUARD_SECRETS_PATTERNS", "perhaps")):  # fmt: skip
        with pytest.raises(Invalid) as caught:
            from_environment({name: value})
        assert "KAGE_GUARD" in str(caught.value)
    with pytest.raises(PolicyWrong) as wrong:
        from_environment({"KAGE_GUARD_APROVE": "none"})
    assert "KAGE_GUARD_APPROVE" in wrong.value.hint


def test_every_key_has_a_default_a_variable_of_its_own_and_words_about_it():
    keys = merged().keys
    assert set(keys) == set(KEYS)
    assert len({key.variable for key in KEYS.values()}) == len(KEYS)
    assert all(each.origins == (DEFAULT,) and each.key.what for each in keys.values())
    assert nearest("guard.outsid") == "guard.outside"
    assert nearest("zzzzzz") == ""


def test_files_are_found_for_a_folder_and_a_home_that_is_a_repository_is_no_workspace(tmp_path):
    home = tmp_path / "home"
    repository = home / "src" / "app"
    (repository / "deep" / "er").mkdir(parents=True)
    (home / ".git").mkdir()
    files = PolicyFiles({"HOME": str(home)})
    assert files.ground("x", str(repository / "deep")).workspace == str(repository / "deep")
    (repository / ".git").write_text("gitdir: elsewhere")
    assert files.ground("x", str(repository / "deep" / "er")).workspace == str(repository)
    (repository / ".kage").mkdir()
    (repository / ".kage" / "config.toml").write_text('[guard]\nprotected = ["x"]\n')
    (home / ".config" / "kage").mkdir(parents=True)
    (home / ".config" / "kage" / "config.toml").write_text('[guard]\napprove = "on-commit"\n')
    ground = files.ground("x", str(repository))
    assert (ground.policy.approve, ground.policy.protected) == ("on-commit", ("x",))
    assert ground.approve_from == f"{home}/.config/kage/config.toml:2"
    (repository / ".kage" / "config.toml").write_bytes(b"\xff")
    with pytest.raises(PolicyWrong):
        files.ground("x", str(repository))
    (repository / ".kage" / "config.toml").unlink()
    (repository / ".kage" / "config.toml").mkdir()
    with pytest.raises(PolicyWrong):
        files.ground("x", str(repository))


@pytest.mark.parametrize(
    ("level", "adapter", "command", "kept"),
    [
        ("none", "command", ("sh",), True),
        ("", "command", ("sh",), True),
        ("on-commit", "command", ("sh",), False),
        ("always", "jsonl", ("./x",), True),
        ("always", "claude-code", ("claude",), True),
        ("on-write", "claude-code", ("claude", "--dangerously-skip-permissions"), False),
        ("on-write", "claude-code", ("claude", "--permission-mode", "acceptEdits"), False),
        ("on-write", "claude-code", ("claude", "--permission-mode=bypassPermissions"), False),
        ("none", "claude-code", ("claude", "--dangerously-skip-permissions"), True),
        ("on-write", "codex", ("codex", "app-server"), True),
        ("always", "codex", ("codex", "app-server"), False),
        ("on-write", "codex", ("codex", "app-server", "-c", 'approval_policy="never"'), False),
        ("on-commit", "codex-exec", ("codex", "exec"), False),
        ("on-write", "acp", ("gemini", "--acp"), False),
        ("on-commit", "acp", ("gemini", "--acp"), True),
        ("on-commit", "acp", ("gemini", "--acp", "--yolo"), False),
        ("on-commit", "acp", ("copilot", "--acp", "--allow-all-tools"), False),
        ("always", "acp", ("gemini", "--acp"), False),
        ("on-write", "some-new-kind", ("x",), False),
    ],
)
def test_a_level_that_an_agent_would_not_keep_is_refused_with_the_reason(level, adapter, command, kept):
    problem = levels.problem(level, adapter, command)
    assert (problem == "") is kept
    assert kept or problem.startswith("cannot be kept")


PLAIN = Ground()


def spec(guard: Guard, adapter: str = "jsonl") -> AgentSpec:
    return AgentSpec(name="a", adapter=adapter, command=("x",), working_directory="/", guard=guard)


def test_a_guard_is_checked_before_its_agent_starts():
    def wrong(guard: Guard, adapter: str = "jsonl", ground: Ground = PLAIN) -> list[str]:
        return [field for field, _ in admission.violations(spec(guard, adapter), ground)]

    assert wrong(Guard()) == []
    assert wrong(Guard(approve="on-write"), "command") == ["spec.guard.approve"]
    both = GuardRule(verdict="deny", path="a", command="b")
    assert wrong(Guard(rules=(both,))) == ["spec.guard.rules[0]"]
    assert wrong(Guard(rules=(GuardRule(verdict="deny", path="a["),))) == ["spec.guard.rules[0].path"]
    assert wrong(Guard(protected_paths=("",))) == ["spec.guard.protected_paths"]
    ground = Ground(policy=merged("[guard]\napprove = 'always'\n").policy, approve_from="user.toml:2")
    assert wrong(Guard(), "codex", ground) == ["spec.guard.approve"]
    assert wrong(Guard(), "command", ground) == []  # nobody expects a plain command to ask
    assert wrong(Guard(approve="on-write"), "codex", ground) == []


def test_an_agent_with_a_level_is_made_to_ask():
    def claude(level: str, *more: str) -> tuple[str, ...]:
        task = Assignment(run="a.1", command=("claude", *more), working_directory="/", approve=level)
        return ADAPTERS["claude-code"].launch(task).argv

    assert "--settings" not in claude("")
    assert "--settings" not in claude("none")
    asked = claude("on-write")[claude("on-write").index("--settings") + 1]
    assert json.loads(asked)["permissions"]["ask"][:2] == ["Bash", "Edit"]
    assert "Read" in claude("always")[claude("always").index("--settings") + 1]
    assert claude("on-write")[claude("on-write").index("--permission-mode") + 1] == "default"
    assert claude("on-write", "--permission-mode", "plan").count("--permission-mode") == 1

    def codex(level: str, session: str = "") -> bytes:
        task = Assignment(run="a.1", command=("codex",), working_directory="/", session=session, approve=level)
        hello = b'{"id":1,"result":{}}\n'
        return ADAPTERS["codex"].feed(b"", hello, final=False, task=task).sends

    assert b"approvalPolicy" not in codex("")
    assert b'"approvalPolicy":"untrusted"' in codex("on-write")
    assert b'"approvalPolicy":"untrusted"' in codex("on-commit", "an-earlier-thread")


@pytest.mark.parametrize(("kind", "kept"), [("here", False), ("worktree", True), ("copy", True)])
def test_commits_of_an_agent_that_cannot_be_made_to_ask_are_held_only_where_git_can_hold_them(kind, kept):
    wanted = replace(spec(Guard(approve="on-commit"), "acp"), workspace=Workspace(kind=kind))
    assert (list(admission.violations(wanted, PLAIN)) == []) is kept
