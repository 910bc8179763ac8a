"""An end for want of memory: from the shim's record to what people and policies see."""

import json

import pytest

from kaged.domain.run_records import Exited, parse_exit
from kaged.runtime.runs.capture import Place
from kaged.runtime.runs.run_facts import ended
from tests.unit.test_agent_machine import Life, policy

RECORD = {
    "kind": "exited", "run_id": "a.1", "status": 9, "code": None, "signal": 9, "core": False, "stopped_by": None,
    "utime_us": 1, "stime_us": 2, "maxrss_kb": 3, "wall_us": 4, "boottime_ns": 5, "boot_id": "b",
}  # fmt: skip


def record(**changes: object) -> Exited:
    found = parse_exit(json.dumps(RECORD | changes).encode())
    assert isinstance(found, Exited)
    return found


def test_a_shim_that_does_not_count_is_understood() -> None:
    assert record().oom_kills == 0
    assert record(oom_kills=2).oom_kills == 2


@pytest.mark.parametrize(
    ("changes", "stopped_by", "note"),
    [
        ({}, "", ""),
        ({"oom_kills": 1}, "memory", "out of memory: the kernel killed 1 of its processes"),
        # a tool of it was killed, and it went on to its own end
        ({"oom_kills": 2, "code": 0, "signal": None}, "", "out of memory: the kernel killed 2 of its processes"),
        # it was asked to end anyway
        ({"oom_kills": 1, "stopped_by": "request"}, "request", "out of memory: the kernel killed 1 of its processes"),
    ],
)
def test_the_kernel_is_named_when_it_ended_the_agent(changes: dict[str, object], stopped_by: str, note: str) -> None:
    end = ended("a.1", record(**changes), None, Place(), 10, "b")
    assert (end.stopped_by, end.note) == (stopped_by, note)


def test_for_policies_it_is_a_crash_and_for_people_it_has_a_name() -> None:
    killed = {"signal": 9, "stopped_by": "memory", "note": "out of memory: the kernel killed 1 of its processes"}
    report, last = Life().starts().ends(**killed)
    assert report.how == "abnormal"
    assert (last.outcome, last.reason, last.note) == ("failed", "out_of_memory", killed["note"])
    _, again, *_ = Life(restart=policy("transient")).starts().ends(**killed)
    assert again.type_name == "agent.restart_scheduled"
