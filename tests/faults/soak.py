"""Random `kill -9` of the daemon under load, then the whole journal against what really happened.

    python -m tests.faults.soak --kills 600 --agents 40

Agents of many kinds (`soak_agent.py`) run all the time; the daemon is killed at random moments, also while it
recovers, and started again; clients repeat what was not answered, and now and then what was. After the last start
everything drains and `ledger.py` judges. Exit code 0: nothing lost, nothing twice, no process left.
"""

import argparse
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message

from kaged.api.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    approval_service_pb2,
    approval_service_pb2_grpc,
    event_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    spec_pb2,
    supervisor_service_pb2,
    supervisor_service_pb2_grpc,
)
from tests.e2e.daemon_kit import Kaged
from tests.faults import soak_agent
from tests.faults.judging import Figures, orphans, shim_of
from tests.faults.ledger import Finding, Ledger, Planned

import grpc  # isort: skip  # after daemon_kit, which sets what it must see

_PASSING: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,
)
_AGENT: Final = Path(soak_agent.__file__)
_DRAIN_S: Final = 120.0
_PATIENCE_S: Final = 600.0  # a daemon that is killed each half second may answer nobody for long


class Line:
    """One thread's way to a daemon that keeps dying: repeats a call until somebody has answered it."""

    def __init__(self, kaged: Kaged, up: threading.Event) -> None:
        self._kaged = kaged
        self._up = up
        self._channel: grpc.Channel | None = None

    def stub(self, service: Callable[[grpc.Channel], Any]) -> Any:
        """A stub on this thread's channel, once the daemon serves."""
        self._up.wait(60.0)
        if self._channel is None:
            self._channel = self._kaged.connect()
        return service(self._kaged.owned(self._channel))

    def reset(self) -> None:
        """The daemon died."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def call(self, service: Callable[[grpc.Channel], Any], method: str, request: Message) -> Any:
        """The answer. Raises RpcError for refusals, or when nobody answered for very long."""
        limit = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return getattr(self.stub(service), method)(request, timeout=10.0)
            except grpc.RpcError as error:
                if error.code() not in _PASSING or time.monotonic() > limit:
                    raise
            self.reset()
            time.sleep(0.01)


class Soak:
    """See the module. `run` once."""

    def __init__(
        self, kaged: Kaged, *, kills: int, seconds: float, limit_s: float, agents: int, seed: int, kinds: list[str]
    ) -> None:
        """`seconds`: what the kills are spread over; after `limit_s` those that a slow machine did not get to are
        left out."""
        self.kaged = kaged
        self.up = threading.Event()
        self.figures = Figures()
        self._kills, self._seconds, self._agents, self._kinds = kills, seconds, agents, kinds
        self._limit_s = limit_s
        self._random = random.Random(seed)
        self._seed = seed
        self._spawning = threading.Event()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._plan: dict[str, Planned] = {}
        self._ended: set[str] = set()
        self._seen: list[int] = []  # check sums of the events that the subscriber saw, by seq
        self._acknowledged: list[tuple[Any, str, Message, bytes]] = []
        self._appended: dict[int, str] = {}
        self._failures: list[BaseException] = []
        self._count = 0

    def run(self) -> Figures:
        """Kill, drain, judge."""
        began = time.monotonic()
        self.kaged.start()
        self.up.set()
        self._spawning.set()
        workers = [self._subscribe, self._answer, self._append, self._repeat, self._grow, self._spawn, self._spawn]
        threads = [threading.Thread(target=self._guard, args=(work,), name=work.__name__) for work in workers]
        for thread in threads:
            thread.start()
        try:
            self._kill_forever(began)
            self._spawning.clear()
            self._drain()
        finally:
            self._spawning.clear()
            self._over.set()
            for thread in threads:
                thread.join(90.0)
        if self._failures:
            raise self._failures[0]
        self._judge()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if not self._over.is_set():
                self._failures.append(error)
                self._spawning.clear()

    # --- killing -----------------------------------------------------------------------------------------------

    def _kill_forever(self, began: float) -> None:
        rest_s = self._seconds / max(1, self._kills)
        while self.figures.kills < self._kills and not self._failures:
            if time.monotonic() - began > self._limit_s:
                break
            if self._random.random() < 0.2:
                time.sleep(self._random.uniform(0.0, 0.6))  # most of these hit a daemon that is starting
            else:
                self._wait_up()
                if self.figures.kills % 5 == 4:
                    self._look_for_orphans()
                time.sleep(min(4 * rest_s, self._random.expovariate(1 / max(0.02, rest_s - 0.4))))
            self.up.clear()
            self.kaged.kill()
            self.figures.kills += 1
            if self.figures.kills % 50 == 0:
                print(f"{self.figures.kills} kills, {len(self._plan)} agents", file=sys.stderr, flush=True)
            self._launched = time.monotonic()
            self.kaged.launch()
        self._wait_up()
        self._check_beside()

    def _check_beside(self) -> None:
        """What a user would run, while all of it is at work: rows against processes, runs, output, states."""
        code, words = self.kaged.fsck()
        if code:
            self.figures.findings.append(Finding("lost", f"fsck beside the daemon says {code}: {words[-2000:]}"))

    def _wait_up(self) -> None:
        if not self.up.is_set():
            self.kaged.wait_serving()
            self.figures.start_s.append(time.monotonic() - self._launched)
            self.up.set()

    def _look_for_orphans(self) -> None:
        """A process without a live run, or a live run without a process, that stays so."""
        line, doubts = Line(self.kaged, self.up), None
        limit = time.monotonic() + 8.0
        while doubts != [] and time.monotonic() < limit:
            listed = {
                agent.run.id: agent
                for agent in line.call(
                    agent_service_pb2_grpc.AgentServiceStub,
                    "ListAgents",
                    agent_service_pb2.ListAgentsRequest(page_size=1000),
                ).agents
            }
            found = self.kaged.live_runs()
            strays = [f"process of {run}: pids {pids}" for run, pids in found.items() if run not in listed]
            empty = [
                f"run {run} has no process"
                for run, agent in listed.items()
                if agent.run.pid and agent.run.phase != "ended" and run not in found
            ]
            fresh = strays + empty
            doubts = fresh if doubts is None else [item for item in doubts if item in fresh]
            if doubts:
                time.sleep(0.1)
        line.reset()
        self.figures.orphans += doubts or []

    # --- what clients do ---------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        line, chance = Line(self.kaged, self.up), random.Random(f"{self._seed} {threading.get_ident()}")
        while self._spawning.is_set():
            with self._lock:
                if len(self._plan) - len(self._ended) >= self._agents:
                    number = -1
                else:
                    number = self._count
                    self._count += 1
            if number < 0:
                time.sleep(0.01)
                continue
            kind = self._kinds[number % len(self._kinds)]
            seed = chance.randrange(1, 1 << 30)
            request = agent_service_pb2.SpawnAgentRequest(
                spec=self._spec(kind, seed, f"{kind}-{number}"), request_id=f"spawn-{number}"
            )
            agent = line.call(agent_service_pb2_grpc.AgentServiceStub, "SpawnAgent", request)
            planned = Planned(agent.agent.id, kind, seed, request.request_id)
            with self._lock:
                self._plan[planned.agent] = planned
            self._maybe_repeat(chance, agent_service_pb2_grpc.AgentServiceStub, "SpawnAgent", request, agent)
            if kind == "echo":
                threading.Thread(
                    target=self._guard, args=(lambda p=planned: self._talk(p),), name=f"talk {number}"
                ).start()
            elif kind == "ticker":
                threading.Thread(
                    target=self._guard, args=(lambda p=planned: self._stop(p),), name=f"talk {number}"
                ).start()
            elif kind == "victim":
                threading.Thread(
                    target=self._guard, args=(lambda p=planned: self._kill_shim(p),), name=f"talk {number}"
                ).start()

    def _grow(self) -> None:
        """One supervision tree after another: apply it, let it live, stop it."""
        line, chance = Line(self.kaged, self.up), random.Random(self._seed + 3)
        service, number = supervisor_service_pb2_grpc.SupervisorServiceStub, 0
        while self._spawning.is_set():
            name = f"tree-{number}"
            seeds = [chance.randrange(1, 1 << 30) for _ in range(3)]
            kinds = ("restart", "chatty", "ticker")
            children = [
                supervisor_service_pb2.ChildSpec(
                    id=kind,
                    restart=spec_pb2.RESTART_TYPE_TRANSIENT,
                    shutdown_ms=5000,
                    agent=self._spec(kind, seed, f"{name}.{kind}"),
                )
                for kind, seed in zip(kinds, seeds, strict=True)
            ]
            spec = supervisor_service_pb2.SupervisorSpec(
                strategy=1 + number % 3, intensity=1000, period_s=1.0, children=children
            )
            request = supervisor_service_pb2.ApplyTreeRequest(tree=name, spec=spec, request_id=f"apply-{name}")
            answer = line.call(service, "ApplyTree", request)
            nodes = {node.id: node.agent for node in answer.tree.root.children}
            with self._lock:
                for kind, seed in zip(kinds, seeds, strict=True):
                    self._plan[nodes[kind]] = Planned(nodes[kind], kind, seed, request.request_id, tree=True)
            self._maybe_repeat(chance, service, "ApplyTree", request, answer)
            time.sleep(chance.uniform(0.5, 3.0))
            stop = supervisor_service_pb2.StopTreeRequest(tree=name, request_id=f"stop-{name}")
            line.call(service, "StopTree", stop)
            number += 1
        line.reset()

    def _spec(self, kind: str, seed: int, name: str) -> spec_pb2.AgentSpec:
        python = getattr(sys, "_base_executable", sys.executable)
        command = [python, "-I", "-S", str(_AGENT), kind, str(seed), str(self.kaged.state / "runs")]
        spec = spec_pb2.AgentSpec(
            name=name, command=command, working_directory=str(self.kaged.folder), labels={"kind": kind}
        )
        match kind:
            case "terminal":
                spec.capture = spec_pb2.CAPTURE_MODE_TERMINAL
            case "restart":
                spec.restart.type = spec_pb2.RESTART_TYPE_TRANSIENT
                spec.restart.intensity = 1000
                spec.restart.backoff_initial_s = 0.05
                spec.restart.backoff_max_s = 0.3
            case "echo":
                spec.stdin = spec_pb2.STDIN_MODE_PIPE
            case "asker":
                spec.adapter = "jsonl"
            case "missing":
                spec.command[:] = ["/nonexistent/program"]
            case "binary" if seed % 2:
                spec.capture = spec_pb2.CAPTURE_MODE_FILE
        return spec

    def _talk(self, planned: Planned) -> None:
        """Send an echo its lines, each once, whatever dies in between."""
        line, chance = Line(self.kaged, self.up), random.Random(planned.seed)
        count = chance.randrange(1, 9)
        for number in range(count):
            size = chance.choice((1, 10, 1000, 20_000, 200_000))
            data = soak_agent.noise(planned.seed, "input", number, size=size)
            request = agent_service_pb2.SendInputRequest(
                agent=planned.agent, data=data, eof=number == count - 1, request_id=f"{planned.agent}-{number}"
            )
            answer = line.call(agent_service_pb2_grpc.AgentServiceStub, "SendInput", request)
            planned.inputs.append(data)
            self._maybe_repeat(chance, agent_service_pb2_grpc.AgentServiceStub, "SendInput", request, answer)
            time.sleep(chance.uniform(0.0, 0.3))
        line.reset()

    def _stop(self, planned: Planned) -> None:
        line, chance = Line(self.kaged, self.up), random.Random(planned.seed)
        time.sleep(chance.uniform(0.3, 3.0))
        request = agent_service_pb2.StopAgentRequest(
            agent=planned.agent, grace_s=5.0, request_id=f"{planned.agent}-stop"
        )
        planned.stopped = True
        answer = line.call(agent_service_pb2_grpc.AgentServiceStub, "StopAgent", request)
        self._maybe_repeat(chance, agent_service_pb2_grpc.AgentServiceStub, "StopAgent", request, answer)
        line.reset()

    def _kill_shim(self, planned: Planned) -> None:
        """SIGKILL to the shim of an agent that has said something: the run is lost, and its agent dies with it."""
        line, asked = Line(self.kaged, self.up), agent_service_pb2.GetAgentRequest(agent=planned.agent)
        while planned.agent not in self._ended:
            agent = line.call(agent_service_pb2_grpc.AgentServiceStub, "GetAgent", asked).agent
            if agent.run.stdout_bytes and (shim := shim_of(self.kaged, planned.agent)) is not None:
                os.kill(shim, signal.SIGKILL)
                break
            time.sleep(0.1)
        line.reset()

    def _answer(self) -> None:
        line, chance = Line(self.kaged, self.up), random.Random(self._seed + 1)
        service = approval_service_pb2_grpc.ApprovalServiceStub
        given: set[str] = set()
        while not self._over.is_set():
            asked = line.call(service, "ListApprovals", approval_service_pb2.ListApprovalsRequest(page_size=100))
            for approval in asked.approvals:
                planned = self._plan.get(approval.agent)
                if approval.id in given or planned is None:
                    continue
                given.add(approval.id)
                request = approval_service_pb2.AnswerApprovalRequest(
                    approval=approval.id,
                    approve=chance.random() < 0.5,
                    note=f"note {len(given)}",
                    request_id=f"answer-{approval.id}",
                )
                answer = line.call(service, "AnswerApproval", request)
                planned.answers.append(("approved" if request.approve else "denied", request.note))
                self._maybe_repeat(chance, service, "AnswerApproval", request, answer)
            time.sleep(0.05)
        line.reset()

    def _append(self) -> None:
        """Events of a client: what was answered is where the answer said."""
        line, number = Line(self.kaged, self.up), 0
        while self._spawning.is_set():
            names = [f"{number}.{index}" for index in range(5)]
            events = [
                event_pb2.NewEvent(
                    meta=event_pb2.Meta(stream="soak/notes", type="soak.noted"),
                    body=event_pb2.Body(custom=event_pb2.CustomPayload(data=name.encode())),
                )
                for name in names
            ]
            request = event_service_pb2.AppendEventsRequest(events=events, request_id=f"append-{number}")
            answer = line.call(event_service_pb2_grpc.EventServiceStub, "AppendEvents", request)
            for name, placed in zip(names, answer.appended, strict=True):
                self._appended[placed.seq] = name
            number += 1
            time.sleep(0.02)
        line.reset()

    def _maybe_repeat(
        self, chance: random.Random, service: Any, method: str, request: Message, answer: Message
    ) -> None:
        if chance.random() < 0.4:
            with self._lock:
                self._acknowledged.append((service, method, request, answer.SerializeToString(deterministic=True)))

    def _repeat(self) -> None:
        """Ask again what was answered before: the answer must be the same, and nothing may happen twice."""
        line, chance = Line(self.kaged, self.up), random.Random(self._seed + 2)
        while not self._over.is_set():
            time.sleep(0.02)
            with self._lock:
                if not self._acknowledged:
                    continue
                item = self._acknowledged.pop(chance.randrange(len(self._acknowledged)))
            service, method, request, before = item
            answer = line.call(service, method, request)
            self.figures.repeats += 1
            if (now := answer.SerializeToString(deterministic=True)) != before:
                first = type(answer).FromString(before)
                if method != "AnswerApproval" or _without_state(first) != _without_state(answer):
                    self.figures.findings.append(
                        Finding(
                            "lost", f"{method} answered {len(before)} and then {len(now)} bytes: {first} / {answer}"
                        )
                    )
        line.reset()

    def _subscribe(self) -> None:
        """Follow everything by cursor through all deaths."""
        line = Line(self.kaged, self.up)
        while not self._over.is_set():
            request = event_service_pb2.SubscribeEventsRequest(after_seq=len(self._seen), heartbeat_s=0.3)
            try:
                for message in line.stub(event_service_pb2_grpc.EventServiceStub).SubscribeEvents(request):
                    for event in message.batch.events:
                        self._saw(event)
                    if self._over.is_set():
                        break
            except grpc.RpcError as error:
                if error.code() not in _PASSING:
                    raise
            line.reset()

    def _saw(self, event: event_pb2.Event) -> None:
        if event.seq != len(self._seen) + 1:
            self.figures.findings.append(
                Finding("disorder", f"subscriber: seq {event.seq} where {len(self._seen) + 1} was due")
            )
        self._seen.append(zlib.crc32(event.SerializeToString()))
        if event.meta.type == "agent.ended":
            self._ended.add(event.meta.agent)

    # --- judging -----------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        limit = time.monotonic() + _DRAIN_S
        while not self._failures and time.monotonic() < limit:
            if self._plan.keys() <= self._ended and not self._talking():
                return
            time.sleep(0.05)
        if self._failures:
            raise self._failures[0]
        rest = [f"{item.agent} {item.kind}" for item in self._plan.values() if item.agent not in self._ended]
        states = [f"{agent}: {self.kaged.agent(agent.split()[0])}" for agent in rest[:3]]
        raise AssertionError(f"did not drain: {rest} {states}")

    def _talking(self) -> bool:
        return any(thread.name.startswith("talk") for thread in threading.enumerate())

    def _judge(self) -> None:
        figures, kaged = self.figures, self.kaged
        ledger = Ledger(self._plan.values())
        for event in kaged.read():
            ledger.take(event)
            at = event.seq - 1
            if at < len(self._seen) and zlib.crc32(event.SerializeToString()) != self._seen[at]:
                ledger.find("lost", f"seq {event.seq} is not the event that the subscriber saw")
            name = self._appended.pop(event.seq, None)
            if name is not None and event.body.custom.data != name.encode():
                ledger.find("lost", f"seq {event.seq} is not the event that was acknowledged there")
            elif name is None and event.meta.type == "soak.noted":
                ledger.find("duplicated", f"seq {event.seq}: nobody was told of it")
        for seq in self._appended:
            ledger.find("lost", f"acknowledged event at seq {seq}")
        if ledger.events < len(self._seen):
            ledger.find("lost", f"the subscriber saw {len(self._seen)} events, the journal has {ledger.events}")
        figures.findings += ledger.check()
        figures.agents, figures.runs = len(self._plan), len(ledger.runs)
        figures.bytes, figures.events, figures.ends = ledger.bytes, ledger.events, ledger.ends
        figures.orphans += orphans(kaged)
        kaged.kill()
        code, words = kaged.fsck()
        if code:
            figures.findings.append(Finding("lost", f"fsck says {code}: {words[-2000:]}"))


def _without_state(answer: Any) -> Any:
    return answer.approval.id, answer.approval.state


def soak(
    folder: Path,
    *,
    kills: int,
    seconds: float,
    agents: int,
    seed: int,
    kinds: list[str],
    limit_s: float = math.inf,
) -> Figures:
    """One soak in a folder. The daemon is gone afterwards. Limits as in `Soak`."""
    kaged = Kaged(folder)
    try:
        asked = Soak(kaged, kills=kills, seconds=seconds, limit_s=limit_s, agents=agents, seed=seed, kinds=kinds)
        return asked.run()
    finally:
        kaged.__exit__(None, None, None)


def main() -> int:
    """Flags, figures, findings."""
    parser = argparse.ArgumentParser(prog="soak", description="kill -9 of the daemon at random, then judge the journal")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="spread the kills over so long (default 0.7 s each)")
    parser.add_argument("--limit", type=float, default=math.inf, metavar="SECONDS", help="leave out what comes later")
    parser.add_argument("--agents", type=int, default=100, help="how many live at a time")
    parser.add_argument("--seed", type=int, default=int(time.monotonic()))
    parser.add_argument("--kinds", default=",".join(soak_agent.KINDS))
    parser.add_argument("--folder", type=Path, help="kept; otherwise a temporary one, kept when something is wrong")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kage-soak-"))
    print(f"seed={arguments.seed} folder={folder}", flush=True)
    figures = soak(
        folder,
        kills=arguments.kills,
        seconds=arguments.seconds or arguments.kills * 0.7,
        limit_s=arguments.limit,
        agents=arguments.agents,
        seed=arguments.seed,
        kinds=arguments.kinds.split(","),
    )
    for finding in figures.findings[:40]:
        print(f"  {finding.kind}: {finding.what}")
    for orphan in figures.orphans[:40]:
        print(f"  orphan: {orphan}")
    print(figures)
    wrong = bool(figures.findings or figures.orphans)
    if not wrong and arguments.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
