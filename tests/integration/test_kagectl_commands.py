"""kagectl against a daemon in memory: what each command asks, prints and exits with."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from kagectl.main import run
from tests.fakes.fake_kaged import TOKEN, FakeKaged, ask

pytestmark = pytest.mark.integration


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaged]:
    monkeypatch.setenv("KAGE_SOCKET", str(tmp_path / "kaged.sock"))
    for name in ("KAGE_TOKEN_FILE", "KAGE_RUN_ID", "KAGE_DEBUG", "KAGE_GRPC"):
        monkeypatch.delenv(name, raising=False)
    with FakeKaged(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def kagectl(capsysbinary) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


# --- agents ---------------------------------------------------------------------------------------------------


def test_run_shows_the_output_and_exits_like_the_agent(fake, kagectl):
    assert kagectl("run", "--", "echo", "hello", "you") == (0, "hello you\n", "")
    code, out, err = kagectl("run", "--", "fail", "7")
    assert (code, out) == (7, "")
    assert err.startswith("it went wrong\n")


def test_run_exits_with_128_and_the_signal_and_says_why(fake, kagectl):
    code, _, err = kagectl("run", "--", "die", "9")
    assert code == 137
    assert "killed by signal 9" in err


def test_run_counts_the_specs_own_success_codes(fake, kagectl):
    assert kagectl("run", "--success-exit-code", "3", "--", "fail", "3")[0] == 0


def test_run_takes_options_of_the_program_for_the_programs(fake, kagectl):
    assert kagectl("run", "echo", "--name", "-x")[1] == "--name -x\n"


def test_run_detached_prints_the_id_only(fake, kagectl):
    code, out, _ = kagectl("run", "-d", "--name", "bg", "--", "sleep")
    assert code == 0
    assert fake.world.agents[out.strip()].name == "bg"


def test_run_rm_takes_the_agent_out_of_the_lists(fake, kagectl):
    kagectl("run", "--rm", "--", "echo", "x")
    assert fake.world.agents == {}


def test_run_detached_with_rm_is_refused_as_usage(fake, kagectl):
    assert kagectl("run", "-d", "--rm", "--", "echo")[0] == 2


def test_run_survives_a_restart_of_the_daemon_and_prints_every_line_once(fake, kagectl):
    def meanwhile() -> None:
        fake.wait_for(lambda world: len(world.agents) == 1)
        agent = next(iter(fake.world.agents.values()))
        with fake.world.changed:
            fake.world.write(agent, b"one\n")
        fake.restart()
        with fake.world.changed:
            fake.world.write(agent, b"two\n")
            fake.world.end(agent)

    helper = threading.Thread(target=meanwhile)
    helper.start()
    code, out, _ = kagectl("run", "--", "cat")
    helper.join()
    assert (code, out) == (0, "one\ntwo\n")


def test_spawn_passes_everything_on_and_never_shows_a_secret(fake, kagectl, monkeypatch):
    monkeypatch.setenv("API_KEY", "s3cret")
    code, out, _ = kagectl(
        *("agent", "spawn", "--name", "w", "--secret", "API_KEY", "-e", "A=1", "-l", "team=core"),
        *("--restart", "on-failure", "--memory", "1GiB", "-o", "json", "--", "sleep", "9"),
    )
    assert code == 0
    answer = json.loads(out)
    assert answer["secret_names"] == ["API_KEY"]
    assert "s3cret" not in out
    asked = fake.world.asked[0]
    assert asked.spec.secret_environment["API_KEY"] == "s3cret"
    assert asked.spec.environment["A"] == "1"
    assert asked.spec.limits.memory_bytes == 1 << 30
    assert asked.request_id


def test_spawn_dry_run_starts_nothing(fake, kagectl):
    code, out, _ = kagectl("agent", "spawn", "--dry-run", "--", "sleep")
    assert code == 0
    assert "would start" in out
    assert fake.world.agents == {}


def test_spawn_from_a_file(fake, kagectl, tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text('name = "filed"\ncommand = ["sleep", "5"]\n')
    assert kagectl("agent", "spawn", "-f", str(path))[1].startswith("filed ")


def test_ps_lists_what_runs_over_all_pages_and_all_with_a(fake, kagectl):
    for name in ("a", "b", "c"):
        kagectl("agent", "spawn", "--name", name, "--", "sleep")
    kagectl("run", "--name", "done", "--", "echo")
    lines = kagectl("ps")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "c", "b", "a"]
    assert len(kagectl("ps", "-a")[1].splitlines()) == 5
    assert len(kagectl("ps", "-n", "1")[1].splitlines()) == 2
    assert kagectl("ps", "-q")[1].split() == [
        a for a in reversed(fake.world.agents) if "sleep" in str(fake.world.agents[a])
    ]


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml"])
def test_every_list_comes_in_forms_for_programs(fake, kagectl, form):
    kagectl("agent", "spawn", "--name", "a", "--", "sleep")
    kagectl("agent", "spawn", "--name", "b", "--", "sleep")
    for words in (("-o", form, "ps"), ("ps", "-o", form), ("agent", "-o", form, "list")):
        out = kagectl(*words)[1]
        if form == "jsonl":
            rows = [json.loads(line) for line in out.splitlines()]
        else:
            rows = json.loads(out) if form == "json" else yaml.safe_load(out)
        assert [(row["name"], row["state"]) for row in rows] == [("b", "running"), ("a", "running")]


def test_show_takes_a_name_or_the_start_of_an_id(fake, kagectl):
    agent = kagectl("run", "-d", "--name", "one", "--", "sleep")[1].strip()
    assert agent in kagectl("agent", "show", "one")[1]
    assert "one" in kagectl("agent", "show", agent[:6])[1]
    assert kagectl("agent", "show", "one", "--watch")[1].count(agent) == 1


def test_an_agent_that_is_not_there_exits_with_3_and_one_line(fake, kagectl):
    code, out, err = kagectl("agent", "show", "nobody")
    assert (code, out) == (3, "")
    assert err == "kagectl: no agent 'nobody' — kagectl agent list shows the known ones\n"


def test_a_refusal_exits_with_5_and_bad_input_with_2(fake, kagectl):
    kagectl("run", "--name", "x", "--", "echo")
    assert kagectl("agent", "stop", "x")[0] == 5
    code, _, err = kagectl("agent", "spawn", "--", "nonsense")
    assert code == 2
    assert "check PATH" in err


def test_stop_of_several_tries_each_and_reports_the_first_failure(fake, kagectl):
    kagectl("run", "-d", "--name", "a", "--", "sleep")
    kagectl("run", "-d", "--name", "b", "--", "sleep")
    code, out, err = kagectl("agent", "stop", "a", "nobody", "b", "--grace", "3s", "--wait")
    assert code == 3
    assert out == "a cancelled\nb cancelled\n"
    assert "nobody" in err
    assert fake.world.asked[-1].grace_s == 3


def test_wait_exits_with_1_when_the_agent_failed(fake, kagectl):
    kagectl("agent", "spawn", "--name", "bad", "--", "fail", "4")
    kagectl("agent", "spawn", "--name", "good", "--", "echo")
    assert kagectl("agent", "wait", "good")[0] == 0
    assert kagectl("agent", "wait", "bad") == (1, "bad failed (exit 4)\n", "")
    assert kagectl("agent", "wait", "bad", "--for", "failed")[0] == 0


def test_wait_with_a_timeout_exits_with_4(fake, kagectl):
    kagectl("agent", "spawn", "--name", "long", "--", "sleep")
    code, _, err = kagectl("agent", "wait", "long", "--timeout", "100ms")
    assert code == 4
    assert "did not answer in time" in err


def test_signal_restart_and_remove(fake, kagectl):
    kagectl("agent", "spawn", "--name", "a", "--", "sleep")
    assert kagectl("agent", "signal", "USR1", "a", "--tree")[1] == "a signalled\n"
    assert (fake.world.asked[-1].signal, fake.world.asked[-1].whole_tree) == ("USR1", True)
    assert kagectl("agent", "restart", "a")[1] == "a running\n"
    assert kagectl("agent", "remove", "a")[0] == 5
    assert kagectl("agent", "remove", "a", "--force")[1] == "a removed\n"
    assert kagectl("agent", "remove")[0] == 2


def test_remove_ended_clears_the_lists(fake, kagectl):
    for _ in range(3):
        kagectl("run", "--", "echo")
    kagectl("agent", "spawn", "--name", "stays", "--", "sleep")
    assert kagectl("agent", "remove", "--ended")[0] == 0
    assert [agent.name for agent in fake.world.agents.values()] == ["stays"]


def test_send_writes_text_files_and_the_end(fake, kagectl, tmp_path):
    agent = kagectl("run", "-d", "--name", "c", "--", "cat")[1].strip()
    kagectl("agent", "send", "c", "yes", "please")
    kagectl("agent", "send", "c", "-n", "raw")
    big = tmp_path / "big"
    big.write_bytes(b"x" * 600_000)
    kagectl("agent", "send", "c", "--file", str(big))
    assert kagectl("agent", "send", "c", "--eof", "bye")[0] == 0
    assert fake.world.inputs[agent] == b"yes please\nraw" + b"x" * 600_000 + b"bye\n"
    assert kagectl("agent", "wait", "c")[0] == 0


def test_resize_takes_rows_by_columns(fake, kagectl):
    kagectl("run", "-d", "--name", "t", "--", "cat")
    assert kagectl("agent", "resize", "t", "40x120")[0] == 0
    assert (fake.world.asked[-1].size.rows, fake.world.asked[-1].size.columns) == (40, 120)
    assert kagectl("agent", "resize", "t", "big")[0] == 2


def test_logs_go_where_the_agent_wrote_them(fake, kagectl):
    kagectl("agent", "spawn", "--name", "f", "--", "fail", "1")
    assert kagectl("logs", "f") == (0, "", "it went wrong\n")
    assert kagectl("logs", "f", "--stdout") == (0, "", "")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} it went wrong\n", kagectl("agent", "logs", "f", "-t")[2])
    assert json.loads(kagectl("logs", "f", "-o", "jsonl")[1])["channel"] == "stderr"
    assert kagectl("logs", "f", "--stdout", "--stderr")[0] == 2


def test_logs_tail_and_follow_end_with_the_agent(fake, kagectl):
    kagectl("run", "-d", "--name", "c", "--", "cat")
    for text in ("1", "2", "3"):
        kagectl("agent", "send", "c", text)
    assert kagectl("logs", "c", "--tail", "2")[1] == "2\n3\n"

    def meanwhile() -> None:
        fake.wait_for(lambda world: world.following == 1)
        run(["agent", "send", "c", "4", "--eof"])

    helper = threading.Thread(target=meanwhile)
    helper.start()
    assert kagectl("logs", "-f", "c", "-n", "1")[1] == "3\n4\n"
    helper.join()


# --- events ---------------------------------------------------------------------------------------------------


def test_append_then_show_and_list(fake, kagectl):
    code, out, _ = kagectl("event", "append", "notes/a", "note.made", "-d", '{"n": 1}', "--tag", "k=v")
    assert (code, out) == (0, "seq 1 revision 1\n")
    shown = yaml.safe_load(kagectl("event", "show", "1")[1])
    assert shown["body"]["custom"] == {"content_type": "application/json", "data": '{"n": 1}'}
    assert shown["meta"]["tags"] == [{"key": "k", "value": "v"}]
    again = json.loads(kagectl("event", "show", shown["meta"]["id"], "-o", "json")[1])
    assert again == shown
    assert "note.made" in kagectl("event", "list")[1]


def test_append_takes_any_bytes_and_names_their_kind(fake, kagectl):
    kagectl("event", "append", "notes/a", "note.made", "-d", "plain words")
    assert fake.world.events[0].body.custom.content_type == "text/plain"


def test_append_checks_what_is_expected_of_the_stream(fake, kagectl):
    assert kagectl("event", "append", "l/x", "l.taken", "-d", "1", "--expect", "absent")[0] == 0
    code, _, err = kagectl("event", "append", "l/x", "l.taken", "-d", "1", "--expect", "absent")
    assert code == 5
    assert "not empty" in err
    assert kagectl("event", "append", "l/x", "l.freed", "-d", "1", "--expect", "1")[0] == 0
    assert kagectl("event", "append", "l/x", "l.freed", "-d", "1", "--expect", "soon")[0] == 2


def test_append_of_a_reserved_family_is_refused(fake, kagectl):
    assert kagectl("event", "append", "agents/x", "agent.ended", "-d", "{}")[0] == 5


def test_list_is_in_order_and_reverse_is_newest_first(fake, kagectl):
    for number in range(5):
        kagectl("event", "append", "n/a", "n.made", "-d", str(number))

    def seqs(*words):
        return [json.loads(line)["seq"] for line in kagectl("event", "list", "-o", "jsonl", *words)[1].splitlines()]

    assert seqs("-n", "2") == [4, 5]
    assert seqs("-n", "2", "--reverse") == [5, 4]
    assert seqs("--after", "3") == [4, 5]
    assert seqs("--from-start", "-n", "2") == [1, 2]


def test_watch_filters_by_agent_name_and_family(fake, kagectl):
    kagectl("run", "--name", "a", "--", "echo", "x")
    kagectl("run", "--name", "b", "--", "echo", "y")
    only = ("--agent", "b", "--type", "agent")
    out = kagectl("event", "watch", "--from-start", "--no-follow", "-o", "jsonl", *only)[1]
    kinds = [json.loads(line)["meta"]["type"] for line in out.splitlines()]
    assert kinds == ["agent.spawned", "agent.ended"]


def test_watch_goes_on_over_a_restart_without_a_gap_or_a_repeat(fake, kagectl):
    def meanwhile() -> None:
        for number in range(6):
            run(["event", "append", "n/a", "n.made", "-d", str(number)])
            if number == 2:
                fake.restart()

    helper = threading.Thread(target=meanwhile)
    helper.start()
    out = kagectl("event", "watch", "--from-start", "--type", "n.made", "-n", "6", "-o", "jsonl")[1]
    helper.join()
    lines = [json.loads(line) for line in out.splitlines() if '"meta"' in line]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_an_event_that_is_not_there_and_a_name_that_cannot_be(fake, kagectl):
    assert kagectl("event", "show", "99")[0] == 3
    assert kagectl("event", "show", "the-first")[0] == 2


# --- approvals, trees, the daemon ----------------------------------------------------------------------------


def test_approvals_are_listed_shown_and_answered_once(fake, kagectl):
    agent = kagectl("run", "-d", "--name", "fix", "--", "sleep")[1].strip()
    fake.world.approvals["q"] = ask("0198c5d0-5c1e-7a77", agent)
    assert "fix" in kagectl("approval", "list")[1]
    assert "$ rm -rf build" in kagectl("approval", "show", "0198")[1]
    assert kagectl("approval", "deny", "0198", "--note", "no")[1] == "0198c5d0 denied\n"
    code, _, err = kagectl("approval", "approve", "0198")
    assert code == 5
    assert "answered" in err
    assert kagectl("approval", "show", "zzz")[0] == 3


def test_a_tree_is_applied_drawn_and_stopped(fake, kagectl, tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('tree = "p"\nintensity = 3\n[[children]]\nid = "api"\ncommand = ["x"]\nshutdown = "2s"\n')
    assert kagectl("tree", "apply", str(path), "--dry-run")[1] == "+ api\n"
    assert fake.world.trees == {}
    assert kagectl("tree", "apply", str(path))[0] == 0
    assert fake.world.asked[-1].spec.children[0].agent.working_directory == str(tmp_path)
    assert "└─ api  running" in kagectl("tree", "show", "p")[1]
    assert yaml.safe_load(kagectl("tree", "show", "p", "--spec")[1])["intensity"] == 3
    assert "p" in kagectl("tree", "list")[1]
    assert kagectl("tree", "restart", "p", "api")[0] == 0
    assert kagectl("tree", "terminate", "p", "api")[0] == 0
    assert kagectl("tree", "delete", "p", "api")[0] == 5
    assert "stopping" in kagectl("tree", "stop", "p")[1]
    assert kagectl("tree", "show", "q")[0] == 3


def test_the_daemon_says_how_it_is(fake, kagectl):
    assert "serving" in kagectl("daemon", "status")[1]
    assert json.loads(kagectl("daemon", "status", "-o", "json")[1])["phase"] == "serving"
    assert "serving" in kagectl("daemon", "status", "--watch")[1]
    assert "7 in 2 commits" in kagectl("daemon", "stats")[1]
    assert kagectl("daemon", "reload")[1] == "taken over: log.level\nneeds a restart: socket\n"
    assert "kaged   0.1.0" in kagectl("version")[1]


def test_a_daemon_that_recovers_is_waited_for(fake, kagectl):
    fake.world.recovering = 3
    assert kagectl("daemon", "status")[0] == 0
    assert fake.world.recovering == 0


def test_daemon_stop_waits_until_the_process_is_gone(fake, kagectl):
    fake.world.pid = 2**22 + 1  # no such process
    code, out, _ = kagectl("daemon", "stop")
    assert code == 0
    assert "1 agents go on" in out
    assert kagectl("ps")[0] == 4


# --- doors ----------------------------------------------------------------------------------------------------


def test_no_daemon_is_said_with_how_to_start_one(kagectl, tmp_path):
    code, _, err = kagectl("--socket", str(tmp_path / "none.sock"), "ps")
    assert code == 4
    assert err.startswith("kagectl: no daemon is running")
    assert err.endswith("kagectl daemon start\n")
    assert kagectl("version", "--socket", str(tmp_path / "none.sock"))[0] == 0


def test_a_wrong_token_is_refused_with_a_hint(fake, kagectl, tmp_path):
    (tmp_path / "owner.token").write_text("wrong")
    code, _, err = kagectl("ps")
    assert code == 5
    assert "token" in err


def test_inside_a_run_only_the_runs_own_token_is_used(fake, kagectl, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGE_RUN_ID", "r")
    code, _, err = kagectl("ps")
    assert code == 5
    assert "KAGE_TOKEN_FILE" in err
    (tmp_path / "mine").write_text(TOKEN)
    monkeypatch.setenv("KAGE_TOKEN_FILE", str(tmp_path / "mine"))
    assert kagectl("ps")[0] == 0


def test_the_slow_way_through_grpc_gives_the_same_answers(fake, kagectl, monkeypatch):
    kagectl("run", "-d", "--name", "a", "--", "sleep")
    quick = kagectl("ps", "-o", "json"), kagectl("agent", "show", "nobody")
    monkeypatch.setenv("KAGE_GRPC", "1")
    assert (kagectl("ps", "-o", "json"), kagectl("agent", "show", "nobody")) == quick


def test_a_bulky_answer_comes_whole_by_the_quick_way(fake, kagectl):
    kagectl("run", "-d", "--name", "a", "-l", "k=" + "x" * 14_000, "--", "sleep")
    with fake.world.changed:
        agent = next(iter(fake.world.agents.values()))
        agent.spec.goal = "g" * 3_000_000
    assert len(json.loads(kagectl("agent", "show", "a", "-o", "json")[1])["spec"]["goal"]) == 3_000_000


@pytest.mark.parametrize(
    "words", [("frobnicate",), ("agent", "spawn", "--nope"), ("ps", "--timeout", "soon"), ("agent", "stop")]
)
def test_wrong_usage_exits_with_2_and_one_line(kagectl, words):
    code, out, err = kagectl(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("kagectl: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(kagectl, shell):
    assert "_KAGECTL_COMPLETE" in kagectl("completion", shell)[1]


def test_every_command_has_help_with_an_example_and_the_shared_options(kagectl):
    def walk(path, group):
        import click

        for name in group.list_commands(None):
            command = group.get_command(None, name)
            code, out, _ = kagectl(*path, name, "--help")
            assert code == 0
            assert "Examples:" in out, (path, name)
            assert "--socket" in out
            if isinstance(command, click.Group):
                walk((*path, name), command)

    from kagectl.main import cli

    walk((), cli)
    assert "Exit codes" in kagectl("--help")[1]
