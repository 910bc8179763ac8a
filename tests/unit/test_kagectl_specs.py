"""Options, env files, spec files and tree files become the messages of the API, or are refused with a path."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from kagectl.errors import Complaint
from kagectl.specfile import agent_file
from kagectl.specs import SpecOptions, read_document, read_env_file, spec_of
from kagectl.treefile import tree_file
from kaged.api.v1 import spec_pb2 as pb
from kaged.api.v1 import supervisor_service_pb2 as trees

ENV = {"PATH": "/bin", "HOME": "/home/me", "EDITOR": "vi", "API_KEY": "s3cret"}


def made(**options):
    return spec_of(SpecOptions(**options), base=pb.AgentSpec(), env=ENV, here="/there")


def test_a_command_alone_runs_here_with_the_basic_environment_of_the_caller():
    spec = made(command=("make", "test"))
    assert list(spec.command) == ["make", "test"]
    assert spec.working_directory == "/there"
    assert dict(spec.environment) == {"PATH": "/bin", "HOME": "/home/me"}


def test_no_inherit_leaves_the_environment_to_the_daemon():
    assert dict(made(command=("x",), inherit=False).environment) == {}


def test_a_variable_without_a_value_is_taken_from_here():
    assert made(command=("x",), env=("EDITOR",)).environment["EDITOR"] == "vi"
    with pytest.raises(Complaint, match="NOPE"):
        made(command=("x",), env=("NOPE",))


def test_a_secret_is_never_in_the_plain_environment():
    spec = made(command=("x",), env=("API_KEY",), secret=("API_KEY", "TOKEN=t=1"))
    assert dict(spec.secret_environment) == {"API_KEY": "s3cret", "TOKEN": "t=1"}
    assert "API_KEY" not in spec.environment
    with pytest.raises(Complaint, match="not set here"):
        made(command=("x",), secret=("NOPE",))


def test_a_missing_command_says_where_to_put_it():
    with pytest.raises(Complaint) as caught:
        made()
    assert "--" in caught.value.hint


def test_a_known_kind_of_agent_has_its_command_and_words_behind_it_are_its_arguments():
    spec = made(agent="claude", command=("--model", "opus"), goal="fix it")
    assert (spec.adapter, list(spec.command), spec.goal) == ("claude-code", ["claude", "--model", "opus"], "fix it")
    assert list(made(agent="codex").command) == ["codex", "app-server"]


def test_an_adapter_with_a_command_of_its_own_needs_none():
    assert list(made(adapter="claude-code").command) == []
    with pytest.raises(Complaint):
        made(adapter="jsonl")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("no", pb.RESTART_TYPE_TEMPORARY),
        ("on-failure", pb.RESTART_TYPE_TRANSIENT),
        ("always", pb.RESTART_TYPE_PERMANENT),
        ("transient", pb.RESTART_TYPE_TRANSIENT),
    ],
)
def test_a_restart_policy_goes_by_either_name(words, kind):
    assert made(command=("x",), restart=words).restart.type == kind


def test_every_limit_and_policy_arrives_in_its_unit():
    spec = made(
        command=("x",),
        max_restarts=3,
        restart_window="1m",
        backoff="500ms..60s",
        stop_signal="INT",
        grace="2s",
        wall_time="1h",
        idle="5m",
        max_output="10MiB",
        max_backlog="1MiB",
        on_full="drop-oldest",
        memory="2GiB",
        cpus=1.5,
        pids=64,
        success_exit_code=(3,),
        stdin="pipe",
        capture="file",
        merge_stderr=True,
        goal="done",
        label=("team=core",),
        cwd="sub",
    )
    assert (spec.restart.intensity, spec.restart.period_s) == (3, 60)
    assert (spec.restart.backoff_initial_s, spec.restart.backoff_max_s) == (0.5, 60)
    assert (spec.stop.signal, spec.stop.grace_s) == ("INT", 2)
    assert (spec.limits.wall_time_s, spec.limits.idle_s, spec.limits.output_bytes) == (3600, 300, 10 << 20)
    assert (spec.limits.spool_bytes, spec.limits.on_full) == (1 << 20, pb.FULL_POLICY_DROP_OLDEST)
    assert (spec.limits.memory_bytes, spec.limits.cpus, spec.limits.processes) == (2 << 30, 1.5, 64)
    assert (spec.stdin, spec.capture) == (pb.STDIN_MODE_PIPE, pb.CAPTURE_MODE_FILE)
    assert spec.merge_stderr
    assert spec.goal == "done"
    assert dict(spec.labels) == {"team": "core"}
    assert spec.working_directory == "/there/sub"
    assert list(spec.success_exit_codes) == [3]


def test_a_grace_of_nothing_is_said_and_not_lost():
    assert made(command=("x",), grace="0").stop.HasField("grace_s")
    assert not made(command=("x",)).stop.HasField("grace_s")


def test_an_env_file_has_comments_exports_and_quotes(tmp_path):
    path = tmp_path / "env"
    path.write_text('# words\nA=1\nexport B="two words"\n\nC=\n D = x=y \n')
    assert read_env_file(str(path)) == {"A": "1", "B": "two words", "C": "", "D": "x=y"}
    path.write_text("A=1\nnonsense\n")
    with pytest.raises(Complaint, match=r":2: expected NAME=value"):
        read_env_file(str(path))


AGENT_TOML = """
name = "worker"
command = ["./worker", "--fast"]
cwd = "/srv"
env = { MODE = "x" }
secrets = { KEY = "s" }
labels = { team = "core" }
success_exit_codes = [2]
restart = { type = "on-failure", intensity = 4, period = "2m", backoff = "1s..30s" }
limits = { wall_time = "1h", memory = "1GiB", cpus = 2, pids = 10 }
stop = { signal = "INT", grace = "20s" }
"""


def test_a_spec_file_gives_the_same_spec_in_toml_and_json():
    data = tomllib.loads(AGENT_TOML)
    spec = agent_file(data)
    assert spec == agent_file(json.loads(json.dumps(data)))
    assert spec.restart.type == pb.RESTART_TYPE_TRANSIENT
    assert (spec.restart.intensity, spec.restart.period_s, spec.restart.backoff_max_s) == (4, 120, 30)
    assert spec.stop.grace_s == 20
    assert spec.limits.memory_bytes == 1 << 30


def test_options_go_on_top_of_a_spec_file():
    base = agent_file(tomllib.loads(AGENT_TOML))
    spec = spec_of(SpecOptions(name="other", env=("MODE=y",)), base=base, env=ENV, here="/there")
    assert spec.name == "other"
    assert spec.environment["MODE"] == "y"
    assert spec.working_directory == "/srv"
    assert spec.environment["PATH"] == "/bin"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("comand = []", "comand: no such setting"),
        ("limits = { memroy = 1 }", "limits.memroy: no such setting"),
        ("command = 'x'", "command must be a list"),
        ("limits = { wall_time = 'soon' }", "limits.wall_time"),
        ("restart = 'sometimes'", "restart: expected one of"),
        ("merge_stderr = 1", "merge_stderr: expected true or false"),
    ],
)
def test_a_slip_in_a_spec_file_is_named_with_its_path(text, path):
    with pytest.raises(Complaint, match=path):
        agent_file(tomllib.loads(text))


def test_a_slip_comes_with_the_nearest_known_name():
    with pytest.raises(Complaint) as caught:
        agent_file({"comand": ["x"]})
    assert caught.value.hint == "did you mean command?"


TREE_TOML = """
tree = "project"
strategy = "rest_for_one"
intensity = 3
period = "30s"

[[children]]
id = "db"
command = ["postgres"]
shutdown = "infinity"

[[children]]
id = "web"
strategy = "one-for-all"
auto_shutdown = "any_significant"

  [[children.children]]
  id = "api"
  command = ["./api"]
  cwd = "/srv"
  restart = "transient"
  significant = true
  shutdown = "2s"
  backoff = "off"

  [[children.children]]
  id = "log"
  command = ["./log"]
  shutdown = "brutal"
"""


def test_a_tree_file_gives_supervisors_and_children_in_order():
    name, spec = tree_file(tomllib.loads(TREE_TOML), here="/here")
    assert name == "project"
    assert spec.strategy == trees.STRATEGY_REST_FOR_ONE
    assert (spec.intensity, spec.period_s) == (3, 30)
    db, web = spec.children
    assert (db.id, db.infinity, db.agent.working_directory) == ("db", True, "/here")
    assert web.supervisor.strategy == trees.STRATEGY_ONE_FOR_ALL
    assert web.supervisor.auto_shutdown == trees.AUTO_SHUTDOWN_ANY_SIGNIFICANT
    assert not web.supervisor.HasField("intensity")
    api, log = web.supervisor.children
    assert (api.restart, api.significant, api.shutdown_ms) == (pb.RESTART_TYPE_TRANSIENT, True, 2000)
    assert (api.agent.working_directory, api.agent.restart.backoff_off) == ("/srv", True)
    assert log.brutal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[children]]\ncommand = ['x']", "every child needs an id"),
        ("[[children]]\nid = 'a'", "needs a command"),
        ("[[children]]\nid = 'a'\ncommand = ['x']\nstrategy = 'one_for_one'", r"\(a\).strategy: no such setting"),
        ("children = 3", "expected a list"),
        ("strategy = 'all_for_none'", "one_for_one"),
    ],
)
def test_a_slip_in_a_tree_file_is_named_with_its_path(text, said):
    with pytest.raises(Complaint, match=said):
        tree_file(tomllib.loads(text), here="/")


def test_the_files_in_the_manual_are_accepted():
    manual = (Path(__file__).parents[2] / "docs" / "kagectl.md").read_text()
    agent, tree = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    assert agent_file(tomllib.loads(agent)).limits.processes == 200
    name, spec = tree_file(tomllib.loads(tree), here="/")
    assert (name, [child.id for child in spec.children]) == ("project", ["db", "web"])


def test_a_file_that_cannot_be_read_is_a_plain_complaint(tmp_path):
    with pytest.raises(Complaint, match="cannot read"):
        read_document(str(tmp_path / "none.toml"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(Complaint, match=r"bad\.json"):
        read_document(str(tmp_path / "bad.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(Complaint, match="expected a table"):
        read_document(str(tmp_path / "list.json"))
