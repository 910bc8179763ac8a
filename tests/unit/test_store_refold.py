"""Text that was taken out of events is gone from the states that were folded from it, and nothing else is changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from kaged.domain.events import facts
from kaged.domain.machines import agent as machine
from kaged.domain.spec import AgentSpec
from kaged.domain.world import World
from kaged.runtime.engine import Engine
from kaged.runtime.system import System
from kaged.store.derived.rebuild import reindex
from kaged.store.derived.states_rebuild import StateRebuilder
from kaged.store.derived.views import Views
from kaged.store.rows.inmemory import MemoryStore
from kaged.store.rows.keys import FAMILIES
from kaged.store.rows.keyvalue import KeyValue
from kaged.store.rows.rocks import RocksStore
from kaged.store.upkeep.retention import REQUESTED, redact
from tests.fakes.journals import OpenJournal

SECRET = "hunter2-correct-horse"


def _history(opened: OpenJournal) -> None:
    """Two agents with text wherever a state keeps it, and enough facts for many rows."""
    world = World()
    engine = Engine(opened.journal, world, System())

    async def story() -> None:
        for number, agent in enumerate(("one", "two"), 1):
            spec = AgentSpec(name=agent, command=("sh", SECRET), working_directory="/" + SECRET, goal=SECRET)
            events = machine.decide_spawn(spec, number=number, supervisor="", run=f"{agent}.1")
            engine.commit(engine.agent_drafts(agent, events))
            for _ in range(150):
                state = world.agents[agent].state
                data = machine.decide_input(_open(state), b"x", eof=False)
                engine.commit(engine.agent_drafts(agent, data))
            asked = facts.ApprovalRequested(
                approval=f"q-{agent}", run=f"{agent}.1", key="k", kind="action", deadline_us=0, title=SECRET, tool="t",
                data_json=SECRET, why=SECRET,
            )  # fmt: skip
            answer = facts.ApprovalAnswered(approval=f"q-{agent}", outcome="denied", run=f"{agent}.1", note=SECRET)
            engine.commit(engine.agent_drafts(agent, (asked, answer)))
            stop = machine.decide_stop(world.agents[agent].state, cause="user", note=SECRET)
            engine.commit(engine.agent_drafts(agent, stop))
            report = facts.RunEnded(
                run=f"{agent}.1", kind="exited", exit_code=1, signal=0, core_dumped=False, how="abnormal", ended_us=1,
                boot_id="", cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0, stopped_by="request",
                survivors=0, errno=0, note=SECRET,
            )  # fmt: skip
            state = world.agents[agent].state
            ended = machine.decide_ended(state, report, next_run="", now_us=1, jitter=0)
            receipt = engine.commit(engine.agent_drafts(agent, ended))
        assert receipt.done is not None
        await receipt.done

    opened.run(story())


def _open(state: machine.AgentState) -> machine.AgentState:
    """The same agent as one that reads."""
    fields = {name: getattr(state.spec, name) for name in ("name", "command", "working_directory", "goal")}
    return replace(state, spec=AgentSpec(**fields, stdin="pipe"))


def _rows(store: KeyValue) -> dict[str, list[tuple[bytes, bytes]]]:
    return {family: store.scan(family, b"", limit=1 << 20) for family in FAMILIES}


def _seqs_of(opened: OpenJournal, agent: str) -> list[int]:
    return [seq for seq in range(1, opened.reader.head + 1) if b"/" + agent.encode() in opened.reader.get(seq)]


@pytest.mark.parametrize("kind", ["memory", "rocks"])
def test_text_that_is_taken_out_of_events_is_gone_from_states_and_a_rebuild_agrees(tmp_path: Path, kind: str) -> None:
    store: KeyValue = RocksStore(tmp_path / "store") if kind == "rocks" else MemoryStore()
    opened = OpenJournal(store)
    _history(opened)
    before = _rows(store)
    taken = redact(store, opened.reader, _seqs_of(opened, "one"), REQUESTED)
    assert taken.agents == {"one"}
    after = _rows(store)
    assert [key for key, _ in after["states"]] == [key for key, _ in before["states"]]
    mine = {key: value for key, value in after["states"] if key[1:5] == b"one\0" or b"q-one" in key}
    assert len(mine) > 4
    assert not [key for key, value in mine.items() if SECRET.encode() in value]
    others = [(key, value) for key, value in before["states"] if key not in mine]
    assert [(key, value) for key, value in after["states"] if key not in mine] == others
    views = Views(store, opened.reader)
    found = views.agent("one")
    assert found is not None
    assert (found[0].spec.command, found[0].phase, found[0].ended and found[0].ended.outcome) == (
        (),
        "ended",
        "cancelled",
    )
    question = views.approval("q-one")
    assert question is not None
    assert (question.state, question.title, question.note) == ("denied", "", "")
    redact(store, opened.reader, _seqs_of(opened, "one"), REQUESTED)
    assert _rows(store) == after, "twice is once"
    opened.close()
    reindex(store, [StateRebuilder(store)])
    assert _rows(store) == after
    store.close()


def test_no_file_holds_the_text_afterwards(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    opened = OpenJournal(store)
    _history(opened)
    for agent in ("one", "two"):
        redact(store, opened.reader, _seqs_of(opened, agent), REQUESTED)
    opened.close()
    store.close()
    holding = [
        path.name for path in (tmp_path / "store").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert holding == []
