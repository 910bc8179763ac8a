"""What kagectl shows: golden screens in tests/golden/screens, and the rules behind them.

KAGE_WRITE_GOLDEN=1 writes the screens anew; read the difference before you keep it.
"""

import json
import os
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.client.failures import ClientError, Unavailable
from kagectl.errors import exit_code_of, told
from kagectl.render import words
from kagectl.render.agents import agent_page, agent_table
from kagectl.render.approvals import approval_page, approval_table
from kagectl.render.daemon import stats_page, status_page
from kagectl.render.events import event_line
from kagectl.render.paint import Paint, safe
from kagectl.render.plain import as_json, as_yaml, plain
from kagectl.render.table import Cell, cut, facts, table
from kagectl.render.trees import changes, tree_drawing, tree_table
from kaged.api.v1 import agent_service_pb2 as agents
from kaged.api.v1 import approval_service_pb2 as approvals
from kaged.api.v1 import daemon_service_pb2 as daemon
from kaged.api.v1 import event_pb2, fact_pb2, spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as trees

SCREENS = Path(__file__).parent.parent / "golden" / "screens"
NOW_S = 1_790_000_000.0
COLOUR = Paint(enabled=True)


def screen(name, text):
    path = SCREENS / f"{name}.txt"
    if os.environ.get("KAGE_WRITE_GOLDEN"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def at(message, ago_s):
    message.FromMicroseconds(int((NOW_S - ago_s) * 1e6))


def an_agent(**fields):
    agent = agents.Agent(
        id="0198c5d0-5c1e-7a77-b0a4-3d1f0e4a9a10",
        name="tests",
        state=agents.AGENT_STATE_RUNNING,
        spec=spec_pb2.AgentSpec(
            command=["make", "test", "CASE=a b"],
            working_directory="/srv/project",
            environment={"PATH": "/bin"},
            labels={"team": "core"},
            limits=spec_pb2.Limits(wall_time_s=5400, memory_bytes=2 << 30, cpus=1.5, processes=64),
            restart=spec_pb2.RestartPolicy(
                type=spec_pb2.RESTART_TYPE_TRANSIENT,
                intensity=5,
                period_s=60,
                backoff_initial_s=0.5,
                backoff_max_s=60,
            ),
        ),
        secret_names=["API_KEY"],
        run=agents.Run(id="0198c5d0-run", attempt=2, phase="started", pid=4711, stdout_bytes=1_300_000),
        restarts=1,
    )
    at(agent.create_time, 3725)
    at(agent.update_time, 12)
    at(agent.run.start_time, 3700)
    for name, value in fields.items():
        setattr(agent, name, value)
    return agent


def fleet():
    failed = an_agent(id="0198c5d0-6000-7a77-b0a4-3d1f0e4a9a11", name="lint", state=agents.AGENT_STATE_FAILED)
    failed.outcome.CopyFrom(agents.Outcome(reason="exit", exit_code=2, detail="exit code 2"))
    failed.run.phase, failed.run.end_kind, failed.run.exit_code = "ended", "exited", 2
    waiting = an_agent(id="0198c5d1-6000-7a77-b0a4-3d1f0e4a9a12", name="fix", state=agents.AGENT_STATE_WAITING)
    waiting.waiting_for = "approval"
    evil = an_agent(id="0298c5d1-6000-7a77-b0a4-3d1f0e4a9a13", name="evil\x1b[2J", restarts=0)
    evil.spec.command[:] = ["printf", "\x1b]0;owned\x07", "a\nb"]
    evil.health.cpus, evil.health.rss_bytes, evil.health.processes = 1.25, 300 << 20, 3
    at(evil.health.up_since, 70)
    at(evil.health.last_output, 3)
    return [an_agent(), failed, waiting, evil]


def test_ps():
    screen("ps", agent_table(fleet(), now_s=NOW_S))


def test_ps_wide():
    screen("ps-wide", agent_table(fleet(), now_s=NOW_S, wide=True))


def test_ps_in_colour_on_a_narrow_screen():
    screen("ps-colour", agent_table(fleet(), now_s=NOW_S, paint=COLOUR, width=80))


def test_ps_of_nothing():
    screen("ps-empty", agent_table([], now_s=NOW_S))


def test_agent_show():
    screen("agent-show", agent_page(an_agent(), now_s=NOW_S, zone=UTC))


def test_agent_show_of_a_failure():
    screen("agent-show-failed", agent_page(fleet()[1], now_s=NOW_S, zone=UTC))


def some_events():
    def event(seq, kind, fact=None, body=None, stream="agents/0198c5d0-5c1e-7a77-b0a4-3d1f0e4a9a10"):
        meta = event_pb2.Meta(id=bytes(16), stream=stream, type=kind, fact=fact)
        return event_pb2.Event(seq=seq, recorded_us=int(NOW_S * 1e6) + seq * 1000, revision=seq, meta=meta, body=body)

    return [
        event(
            1,
            "agent.spawned",
            fact_pb2.Fact(agent_spawned=fact_pb2.AgentSpawned(number=1)),
            event_pb2.Body(agent=spec_pb2.AgentText(command=["make", "test"])),
        ),
        event(
            2,
            "output.chunk",
            fact_pb2.Fact(output_chunk=fact_pb2.OutputChunk(run="r", channel=2, length=9)),
            event_pb2.Body(output=b"\x1b[31mred\xff\nnext\n"),
        ),
        event(
            3,
            "agent.restart_scheduled",
            fact_pb2.Fact(agent_restart_scheduled=fact_pb2.AgentRestartScheduled(delay_us=1_500_000, consecutive=2)),
        ),
        event(
            4,
            "agent.ended",
            fact_pb2.Fact(agent_ended=fact_pb2.AgentEnded(outcome="failed", reason="exit", exit_code=2)),
        ),
        event(
            5,
            "build.finished",
            None,
            event_pb2.Body(custom=event_pb2.CustomPayload(content_type="application/json", data=b'{"ok":true}')),
            "notes/build",
        ),
        event_pb2.Event(
            seq=123_456,
            recorded_us=int(NOW_S * 1e6),
            meta=event_pb2.Meta(stream="notes/x", type="note.made"),
            redaction=event_pb2.Redaction(body_bytes=99),
        ),
    ]


def test_event_watch():
    screen("event-watch", "\n".join(event_line(event, zone=UTC) for event in some_events()))


def test_event_list_in_colour_on_a_narrow_screen():
    lines = [event_line(event, zone=UTC, day=True, paint=COLOUR, width=100) for event in some_events()]
    screen("event-list-colour", "\n".join(lines))


def test_events_as_json_lines():
    lines = [as_json(plain(event, sparse=True), indent=None) for event in some_events()]
    screen("event-jsonl", "\n".join(lines))


def test_an_event_as_yaml():
    screen("event-yaml", as_yaml(plain(some_events()[0], sparse=True)))


def a_tree():
    def leaf(name, **fields):
        return trees.TreeNode(id=name, path=name, kind="agent", phase="running", agent="0198c5d0-5c1e-7a77", **fields)

    api = leaf("api", restart=spec_pb2.RESTART_TYPE_TRANSIENT, significant=True)
    log = leaf("log")
    log.phase = "waiting"
    at(log.restart_due, -4)
    web = trees.TreeNode(
        id="web",
        kind="supervisor",
        phase="running",
        strategy=trees.STRATEGY_ONE_FOR_ALL,
        restarts_in_window=1,
        intensity=3,
        children=[api, log],
    )
    root = trees.TreeNode(kind="supervisor", strategy=trees.STRATEGY_REST_FOR_ONE, intensity=1)
    root.children.extend([leaf("db"), web, leaf("last")])
    return trees.Tree(name="project", phase="running", root=root)


def test_tree_show():
    screen("tree-show", tree_drawing(a_tree(), now_s=NOW_S))


def test_tree_list():
    ended = trees.Tree(name="old", phase="failed", reason="restarts exhausted")
    screen("tree-list", tree_table([a_tree(), ended]))


def test_tree_apply():
    answer = trees.ApplyTreeResponse(added=["web/api"], changed=["db"], removed=["old"], kept=["a", "b"])
    screen("tree-apply", changes(answer, would=False))
    assert changes(trees.ApplyTreeResponse(), would=True) == "nothing would change"


def questions():
    asked = approvals.Approval(
        id="0198c5d0-5c1e-7a77-b0a4-3d1f0e4a9a10",
        agent="0198c5d0-agent",
        state=approvals.APPROVAL_STATE_OPEN,
        kind="action",
        title="run rm -rf build",
        tool="Bash",
        data_json='{"command":"rm -rf build","why\\u001b":1}',
        why="a clean build is needed",
    )
    at(asked.create_time, 90)
    at(asked.expire_time, -600)
    denied = approvals.Approval(id="0198c5d1-5c1e", state=approvals.APPROVAL_STATE_DENIED, title="push", note="no")
    return [asked, denied]


def test_approval_list():
    screen("approval-list", approval_table(questions(), names={"0198c5d0-agent": "fix"}, now_s=NOW_S))


def test_approval_show():
    screen("approval-show", approval_page(questions()[0], now_s=NOW_S))


def a_status():
    status = daemon.DaemonStatus(
        version="0.1.0",
        phase=daemon.DAEMON_PHASE_SERVING,
        pid=42,
        store_id="0198c5d0",
        state_dir="/home/me/.local/state/kage",
        socket="/run/user/7/kage/kaged.sock",
        head_seq=4711,
        first_seq=1,
        agents={"running": 3, "failed": 1, "pending": 0},
        open_approvals=2,
        fsync_p50_us=240,
        fsync_p99_us=1900,
        disk_free_bytes=5 << 30,
        api_revision=1,
    )
    at(status.start_time, 100_000)
    return status


def test_daemon_status():
    screen("daemon-status", status_page(a_status(), now_s=NOW_S))


def test_daemon_stats():
    stats = daemon.GetStatsResponse(
        status=a_status(),
        events_appended=10_000,
        commits=400,
        bytes_appended=3_000_000,
        output_bytes=123_456_789,
        rss_bytes=70 << 20,
        cpu_s=12.34,
        loop_delay_p99_us=900,
        store_bytes=8 << 20,
        store={"sst": "3"},
    )
    screen("daemon-stats", stats_page(stats, now_s=NOW_S))


# --- the rules ------------------------------------------------------------------------------------------------


@given(st.text())
def test_safe_text_never_moves_the_cursor_or_turns_text_around(text):
    shown = safe(text)
    assert all(ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


@given(st.lists(st.lists(st.text(st.characters(categories=["L", "N"])), min_size=3, max_size=3), max_size=6))
def test_every_column_of_a_table_begins_at_the_same_place(rows):
    lines = table(("A", "B", "C"), [[Cell("x" + each) for each in row] for row in rows]).splitlines()
    starts = lines[0].index("B"), lines[0].index("C")
    for line in lines[1:]:
        assert all(line[start] == "x" and line[start - 1] == " " for start in starts)


def test_only_the_last_column_is_cut_and_only_on_a_screen():
    text = table(("NAME", "COMMAND"), [("a" * 30, "b" * 50)], width=50)
    assert text.splitlines()[1] == "a" * 30 + "  " + "b" * 17 + "…"
    assert cut("abc", None) == "abc"


def test_facts_leave_out_what_is_empty():
    assert facts([("a", "1"), ("bcd", ""), ("ef", "2")]) == "a   1\nef  2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (192, "3m12s"), (7500, "2h5m"), (97_200, "1d3h"), (5e6, "57d")],
)
def test_a_span_has_at_most_two_units(seconds, text):
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (812, "812B"), (1000, "1.0K"), (4096, "4.0K"), (310 << 20, "310M"), (5 << 30, "5.0G")],
)
def test_a_size_is_short(count, text):
    assert words.size(count) == text


def test_ids_are_cut_to_what_tells_them_apart():
    ids = ["0198c5d0-5c1e-7a77", "0198c5d0-5c1f-7a77", "02aaaaaa-0000-0000", "abc"]
    assert words.shortened(ids) == {
        "0198c5d0-5c1e-7a77": "0198c5d0-5c1e",
        "0198c5d0-5c1f-7a77": "0198c5d0-5c1f",
        "02aaaaaa-0000-0000": "02aaaaaa",
        "abc": "abc",
    }


@given(st.lists(st.uuids(version=4).map(str), unique=True, min_size=1, max_size=20))
def test_a_cut_id_always_means_one_of_them(ids):
    for whole, short in words.shortened(ids).items():
        assert [each for each in ids if each.startswith(short)] == [whole]


def test_values_for_programs_are_complete_and_typed():
    values = plain(an_agent())
    assert values["state"] == "running"
    assert values["restarts"] == 1
    assert values["create_time"] == "2026-09-21T13:11:15.000000Z"
    assert values["waiting_for"] == ""
    assert "outcome" not in values
    assert values["spec"]["environment"] == {"PATH": "/bin"}
    assert values["run"]["stdout_bytes"] == 1_300_000
    assert json.loads(as_json(values)) == values


def test_bytes_that_are_no_text_are_marked_as_base64():
    event = event_pb2.Event(body=event_pb2.Body(output=b"\xff\xfe"))
    assert plain(event, sparse=True)["body"] == {"output": {"base64": "//4="}}


def test_an_enum_value_of_a_newer_daemon_is_shown_as_its_number():
    agent = agents.Agent.FromString(b"\x18\x63")
    assert plain(agent)["state"] == 99
    assert "99" in agent_table([agent], now_s=NOW_S)


def test_an_error_is_one_line_with_a_hint():
    error = ClientError("first\nsecond", code="NOT_FOUND", hint="look there", violations=[("a.b", "is bad")])
    assert told(error) == "first second (a.b: is bad) — look there"
    assert "kagectl version" in told(ClientError("x", code="UNIMPLEMENTED"))
    assert "--timeout" in told(ClientError("Deadline Exceeded", code="DEADLINE_EXCEEDED"))


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("INVALID_ARGUMENT", 2),
        ("NOT_FOUND", 3),
        ("DEADLINE_EXCEEDED", 4),
        ("INTERNAL", 4),
        ("FAILED_PRECONDITION", 5),
        ("PERMISSION_DENIED", 5),
        ("UNAUTHENTICATED", 5),
        ("ALREADY_EXISTS", 5),
        ("RESOURCE_EXHAUSTED", 5),
        ("OUT_OF_RANGE", 5),
    ],
)
def test_the_exit_code_tells_the_kind_of_failure(code, exit_code):
    assert exit_code_of(ClientError("x", code=code)) == exit_code
    assert exit_code_of(Unavailable("x")) == 4
