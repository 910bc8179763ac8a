"""What `kaged fsck` says about runs."""

from dataclasses import replace

import pytest

from kaged.api.v1 import event_pb2
from kaged.domain.events import facts
from kaged.domain.spec import AgentSpec
from kaged.store.upkeep.run_ledger import RunLedger
from kaged.store.wire.codec import Draft, encode
from kaged.store.wire.record import encode_head

RUN = "abcdefgh.1"
WANTED = facts.RunWanted(run=RUN, attempt=1, cause="spawn", ordinal=0)
STARTED = facts.RunStarted(run=RUN, shim_pid=1, shim_start_ticks=1, boot_id="b", protocol=1)
FIRST = facts.OutputChunk(run=RUN, channel="out", offset=0, stdout_end=3, stderr_end=0, masks=(), data=b"abc")
SECOND = facts.OutputChunk(run=RUN, channel="err", offset=0, stdout_end=3, stderr_end=2, masks=(), data=b"xy")
ENDED = facts.RunEnded(
    run=RUN, kind="exited", exit_code=0, signal=0, core_dumped=False, how="normal", ended_us=1, boot_id="b", cpu_us=0,
    max_rss_bytes=0, stdout_bytes=3, stderr_bytes=2, stopped_by="", survivors=0, errno=0, note="",
)  # fmt: skip
SPAWNED = facts.Spawned(number=1, spec=AgentSpec(name="a", command=("true",), working_directory="/"), supervisor="")
OVER = facts.Ended(outcome="succeeded", reason="exit", exit_code=0, signal=0, limit="", note="")
GOOD = (WANTED, STARTED, FIRST, SECOND, ENDED)


def findings(*events: facts.AgentEvent | facts.CaptureEvent) -> list[str]:
    """What the ledger says about the history of an agent that was spawned: `kind: what`."""
    return told(SPAWNED, *events)


def told(*events: facts.AgentEvent | facts.CaptureEvent, cut: int = -1, redact: int = -1) -> list[str]:
    """The same for any history. Of event `cut` a byte of output is missing; the body of `redact` was taken out."""
    ledger, found = RunLedger(), []
    for seq, event in enumerate(events, 1):
        entry = encode(
            Draft(stream="agents/abcdefgh", event=event, agent="abcdefgh", run=RUN), event_id=bytes(16), now_us=1
        )
        message = event_pb2.Event.FromString(encode_head(seq, 1, seq, 1) + entry.meta + entry.body)
        if seq == cut:
            message.body.output = message.body.output[:-1]
        if seq == redact:
            message.ClearField("body")
            message.redaction.body_bytes = 3
        found += [f"{fault.kind}: {fault.what}" for fault in ledger.feed(message)]
    return found


def test_a_run_that_went_as_it_should_has_no_findings() -> None:
    assert findings(*GOOD) == []
    assert findings(*GOOD, OVER) == []


@pytest.mark.parametrize(
    ("history", "word"),
    [
        ((WANTED, STARTED, STARTED), "duplicated: run abcdefgh.1: started twice"),
        ((WANTED, STARTED, FIRST, FIRST), "duplicated: run abcdefgh.1: out goes on at 0, not at 3"),
        ((WANTED, STARTED, replace(FIRST, offset=1)), "lost: run abcdefgh.1: out goes on at 1, not at 0"),
        ((WANTED, STARTED, FIRST, ENDED), "lost: run abcdefgh.1: ended with 3 and 2 bytes, but 3 and 0 are recorded"),
        ((*GOOD, ENDED), "duplicated: run.ended of run abcdefgh.1, which is over or was never wanted"),
        ((*GOOD, SECOND), "disorder: output.chunk of run abcdefgh.1, which is over or was never wanted"),
        ((WANTED, WANTED), "duplicated: run abcdefgh.1 is attempt 1 after 1"),
        ((WANTED, replace(WANTED, run="abcdefgh.2", attempt=2)), "duplicated: run abcdefgh.2 is wanted while"),
        ((*GOOD, replace(WANTED, attempt=3)), "lost: run abcdefgh.1 is attempt 3 after 1"),
        ((WANTED, facts.InputAccepted(run=RUN, offset=5, length=1, eof=False, data=b"x")), "input goes on at 5"),
        ((WANTED, STARTED, OVER), "lost: agent abcdefgh ended, but its run abcdefgh.1 did not"),
        ((*GOOD, OVER, OVER), "duplicated: agent abcdefgh ended twice"),
        ((SPAWNED,), "duplicated: agent abcdefgh was spawned twice"),
    ],
)
def test_a_run_that_did_not_is_named(history: tuple[facts.AgentEvent, ...], word: str) -> None:
    assert any(word in what for what in findings(*history)), findings(*history)


def test_an_agent_that_nobody_spawned_is_named() -> None:
    assert "never spawned" in told(*GOOD)[0]
    assert "never spawned" in told(OVER)[0]


def test_an_agent_that_was_started_again_may_end_again() -> None:
    again = (replace(WANTED, run="abcdefgh.2", attempt=2), replace(STARTED, run="abcdefgh.2"))
    assert told(SPAWNED, *GOOD, OVER, again[0])[:1] == []


def test_output_that_is_shorter_than_was_recorded_is_lost_unless_it_was_taken_out() -> None:
    history = (SPAWNED, WANTED, STARTED, FIRST)
    assert told(*history, cut=4) == ["lost: run abcdefgh.1: out has 2 bytes where 3 were recorded"]
    assert told(*history, redact=4) == []


def test_what_has_no_end_yet_is_live() -> None:
    ledger = RunLedger()
    for seq, event in enumerate((SPAWNED, WANTED, STARTED), 1):
        entry = encode(
            Draft(stream="agents/abcdefgh", event=event, agent="abcdefgh", run=RUN), event_id=bytes(16), now_us=1
        )
        list(ledger.feed(event_pb2.Event.FromString(encode_head(seq, 1, seq, 1) + entry.meta + entry.body)))
    assert list(ledger.live) == [RUN]
    assert (ledger.live[RUN].started, ledger.live[RUN].executed) == (True, False)
