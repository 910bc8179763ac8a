"""A program that cannot live, for days of virtual time: the daemon's memory and patience must not grow with it."""

import time
from itertools import pairwise

from kaged.domain.events.facts import RunEnded, Spawned
from kaged.domain.machines import agent as machine
from kaged.domain.restart import Backoff
from kaged.domain.spec import AgentSpec, RestartPolicy

EXITS = 100_000


def test_a_hundred_thousand_exits_stay_small_and_cost_the_same_to_the_end():
    policy = RestartPolicy(type="permanent", intensity=60, period_s=5, backoff=Backoff(base_s=0.5, max_s=2))
    spec = AgentSpec(name="a", command=("false",), working_directory="/", restart=policy)
    now_us, costs_s, sizes = 0, [], []
    spawned, *events = machine.decide_spawn(spec, number=1, supervisor="", run="id.1")
    assert isinstance(spawned, Spawned)
    state = machine.spawn("id", spawned, now_us)
    for number in range(EXITS):
        if number % (EXITS // 10) == 0:
            costs_s.append(time.process_time())
            sizes.append(len(repr(state)))
        for event in events:
            state = machine.apply(state, event, now_us)
        now_us = max(now_us + 100_000, state.due_us)
        if state.phase == "backoff":
            for event in machine.decide_due(state, run=f"id.{state.run.attempt + 1}", now_us=now_us):
                state = machine.apply(state, event, now_us)
        report = RunEnded(
            run=state.run.id, kind="exited", exit_code=1, signal=0, core_dumped=False, how="abnormal", ended_us=now_us,
            boot_id="b", cpu_us=0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0, stopped_by="", survivors=0, errno=0,
            note="",
        )  # fmt: skip
        events = machine.decide_ended(
            state, report, next_run=f"id.{state.run.attempt + 1}", now_us=now_us, jitter=(number % 97) / 97
        )
    assert state.phase in ("starting", "backoff")
    assert state.restarts == EXITS - 1
    assert len(state.window) <= policy.intensity
    assert max(sizes[1:]) < sizes[1] + 200  # numbers get longer, nothing else
    tenths = [after - before for before, after in pairwise(costs_s)]
    assert max(tenths[-3:]) < 5 * min(tenths[:3])
