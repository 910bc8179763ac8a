"""What clients ask of a daemon that may die at any moment: each call is repeated until somebody has answered it.

Every errand takes an agent (or a tree) from its spawn to its end and remembers what was acknowledged about it, so
that `ledger.py` can judge the journal afterwards. Several are under way at once, each kind in a thread of its own,
until `finish`. Not here: killing the daemon (`crash.py`, `sweep.py`), starting it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import (
    agent_service_pb2_grpc,
    approval_service_pb2,
    approval_service_pb2_grpc,
    goal_pb2,
    spec_pb2,
    supervisor_service_pb2,
    supervisor_service_pb2_grpc,
)
from tests.e2e.daemon_kit import ENDED, Kaged
from tests.faults import soak_agent
from tests.faults.judging import shim_of
from tests.faults.ledger import Planned
from tests.faults.soak import Line

import grpc  # isort: skip  # after daemon_kit, which sets what it must see

KINDS: Final = ("talk", "stop", "ask", "retry", "tree", "quick")
RARE: Final = ("victim", "flood", "goal", "lingering")  # for the points that only they come by
_AGENT: Final = Path(soak_agent.__file__)
_LOOPING: Final = Path(__file__).parents[1] / "fakes" / "looping.py"
_GIVEN_UP_AFTER: Final = 5
_PATIENCE_S: Final = 120.0


class Errands:
    """See the module. `start`, then `finish` while a daemon serves; `plan` is for the ledger."""

    def __init__(self, kaged: Kaged, up: threading.Event) -> None:
        self.plan: list[Planned] = []
        self.failures: list[BaseException] = []
        self._kaged = kaged
        self._up = up
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._numbers = 0

    def start(self, kinds: Sequence[str]) -> None:
        """One thread for each kind, one errand after another."""
        for kind in kinds:
            thread = threading.Thread(target=self._run, args=(kind,), name=f"errand {kind}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """Let those under way come to their ends; begin no more. Raises what one of them failed with."""
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
            if thread.is_alive():
                self.failures.append(AssertionError(f"{thread.name} got no answers"))
        if self.failures:
            raise self.failures[0]

    def tickers(self, count: int) -> list[Planned]:
        """Agents that go on for ever, once each has said something. A daemon serves, and does not die yet."""
        line = Line(self._kaged, self._up)
        made = [self._spawn(line, "ticker") for _ in range(count)]
        for planned in made:
            self._heard(line, planned)
            planned.stopped = True
        line.reset()
        return made

    def stop(self, made: Sequence[Planned]) -> None:
        """Ask them to end, whoever may have asked before, and wait for it."""
        line = Line(self._kaged, self._up)
        for planned in made:
            request = agents_pb.StopAgentRequest(agent=planned.agent, grace_s=5.0, request_id=f"{planned.agent}.stop")
            _agents(line, "StopAgent", request)
            self._end(line, planned)
        line.reset()

    def _run(self, kind: str) -> None:
        line, errand = Line(self._kaged, self._up), getattr(self, f"_{kind}")
        try:
            while not self._over.is_set():
                self._try(errand, line)
        except BaseException as error:
            self.failures.append(error)
        finally:
            line.reset()

    def _try(self, errand: Callable[[Line], None], line: Line) -> None:
        """A start that five daemons in a row did not survive is given up: its errand is over. The ledger looks why."""
        try:
            errand(line)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    # --- errands -------------------------------------------------------------------------------------------------

    def _talk(self, line: Line) -> None:
        """Send an agent its input in three parts; the last one ends it."""
        echo = self._spawn(line, "echo", stdin=spec_pb2.STDIN_MODE_PIPE)
        for part in range(3):
            data = soak_agent.noise(echo.seed, part, size=3000)
            request = agents_pb.SendInputRequest(
                agent=echo.agent, data=data, eof=part == 2, request_id=f"{echo.agent}.{part}"
            )
            _agents(line, "SendInput", request)
            echo.inputs.append(data)
        self._end(line, echo)

    def _stop(self, line: Line) -> None:
        """Stop an agent that would go on for ever, once it has said something."""
        ticker = self._spawn(line, "ticker")
        ticker.stopped = self._heard(line, ticker)
        request = agents_pb.StopAgentRequest(agent=ticker.agent, grace_s=5.0, request_id=f"{ticker.agent}.stop")
        _agents(line, "StopAgent", request)
        self._end(line, ticker)

    def _ask(self, line: Line) -> None:
        """Answer the question of an agent that speaks jsonl."""
        asker = self._spawn(line, "asker", adapter="jsonl")
        service = approval_service_pb2_grpc.ApprovalServiceStub
        asked = approval_service_pb2.ListApprovalsRequest(agent=asker.agent)
        whose = agents_pb.GetAgentRequest(agent=asker.agent)

        def look() -> Any:
            if found := line.call(service, "ListApprovals", asked).approvals:
                return found
            return _agents(line, "GetAgent", whose).agent.state in ENDED

        found = self._until(look, f"a question of {asker.agent}")
        if found is True:
            return  # it never ran; the ledger looks why
        request = approval_service_pb2.AnswerApprovalRequest(
            approval=found[0].id, approve=True, note="go", request_id=f"{asker.agent}.answer"
        )
        line.call(service, "AnswerApproval", request)
        asker.answers.append(("approved", "go"))
        self._end(line, asker)

    def _retry(self, line: Line) -> None:
        """An agent that fails until its fourth attempt, with a back-off between them."""
        policy = spec_pb2.RestartPolicy(
            type=spec_pb2.RESTART_TYPE_TRANSIENT, intensity=1000, backoff_initial_s=0.03, backoff_max_s=0.1
        )
        self._end(line, self._spawn(line, "restart", restart=policy))

    def _quick(self, line: Line) -> None:
        """One that is over before anybody looks."""
        self._end(line, self._spawn(line, "quick"))

    def _victim(self, line: Line) -> None:
        """Kill the shim of an agent: it is lost, and its agent with it."""
        victim = self._spawn(line, "victim")
        if self._heard(line, victim):
            shim = shim_of(self._kaged, victim.agent)
            assert shim is not None, "the shim of a run that goes on has a process"
            os.kill(shim, signal.SIGKILL)
        self._end(line, victim)

    def _tree(self, line: Line) -> None:
        """Apply a tree, let its children come up and one of them fail a few times, stop it."""
        name, service = f"tree-{self._number()}", supervisor_service_pb2_grpc.SupervisorServiceStub
        seeds = {kind: 3 * self._number() for kind in ("restart", "ticker")}
        children = [
            supervisor_service_pb2.ChildSpec(
                id=kind,
                restart=spec_pb2.RESTART_TYPE_TRANSIENT,
                shutdown_ms=5000,
                agent=self._spec(kind, seed, f"{name}.{kind}"),
            )
            for kind, seed in seeds.items()
        ]
        spec = supervisor_service_pb2.SupervisorSpec(
            strategy=supervisor_service_pb2.STRATEGY_ONE_FOR_ONE,
            intensity=1000,
            period_s=1.0,
            children=children,
        )
        request = supervisor_service_pb2.ApplyTreeRequest(tree=name, spec=spec, request_id=f"apply-{name}")
        nodes = {node.id: node.agent for node in line.call(service, "ApplyTree", request).tree.root.children}
        grown = [Planned(nodes[kind], kind, seed, request.request_id, tree=True) for kind, seed in seeds.items()]
        with self._lock:
            self.plan += grown
        self._heard(line, grown[-1])
        stop = supervisor_service_pb2.StopTreeRequest(tree=name, request_id=f"stop-{name}")
        line.call(service, "StopTree", stop)
        for planned in grown:
            self._end(line, planned)

    def _flood(self, line: Line) -> None:
        """One that writes so much that the disk gets some of it back while it runs."""
        self._end(line, self._spawn(line, "flood"))

    def _goal(self, line: Line) -> None:
        """A loop of three turns towards a goal, which a check says is reached after the third one."""
        self._loop(line)

    def _lingering(self, line: Line) -> None:
        """The same, but the program stays when all is done, and is stopped after a while."""
        self._loop(line, "sh", "-c", 'python=$1; shift; "$python" "$@"; sleep 600', "sh")

    def _loop(self, line: Line, *before: str) -> None:
        folder = self._kaged.folder / f"goal-{self._number()}"
        folder.mkdir()
        check = goal_pb2.Criterion(command="test -f done.txt")
        spec = spec_pb2.AgentSpec(
            name=folder.name,
            adapter="jsonl",
            command=[*before, sys.executable, str(_LOOPING), "step", "step", "done"],
            working_directory=str(folder),
            goal="make the file",
            loop=goal_pb2.GoalLoop(success=[check]),
        )
        request = agents_pb.SpawnAgentRequest(spec=spec, request_id=f"spawn.{folder.name}")
        planned = Planned(_agents(line, "SpawnAgent", request).agent.id, "goal", 0, request.request_id)
        with self._lock:
            self.plan.append(planned)
        self._end(line, planned)
        heard = folder / "heard.txt"
        prompts = heard.read_text("utf-8").splitlines() if heard.exists() else []
        agent = _agents(line, "GetAgent", agents_pb.GetAgentRequest(agent=planned.agent)).agent
        if agent.run.attempt <= _GIVEN_UP_AFTER or agent.run.pid:  # else it never ran; the ledger looks why
            assert agent.outcome.reason == "goal", agent
            assert agent.progress.iterations == 3, "each turn is judged once"
            assert len(prompts) == 2, "each prompt is heard once"

    # --- parts of them -------------------------------------------------------------------------------------------

    def _number(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers

    def _spec(self, kind: str, seed: int, name: str, **spec: object) -> spec_pb2.AgentSpec:
        python = getattr(sys, "_base_executable", sys.executable)
        return spec_pb2.AgentSpec(
            name=name,
            command=[python, "-I", "-S", str(_AGENT), kind, str(seed), str(self._kaged.state / "runs")],
            working_directory=str(self._kaged.folder),
            **spec,  # type: ignore[arg-type]  # names are checked by protobuf
        )

    def _spawn(self, line: Line, kind: str, **spec: object) -> Planned:
        number = self._number()
        seed = 3 * number
        request = agents_pb.SpawnAgentRequest(
            spec=self._spec(kind, seed, f"{kind}-{number}", **spec), request_id=f"spawn.{number}"
        )
        planned = Planned(_agents(line, "SpawnAgent", request).agent.id, kind, seed, request.request_id)
        with self._lock:
            self.plan.append(planned)
        return planned

    def _heard(self, line: Line, planned: Planned) -> bool:
        """A ticker that is stopped before it runs has not run; so let it say something first.

        False: it never will (`_try`).
        """
        asked = agents_pb.GetAgentRequest(agent=planned.agent)

        def look() -> Any:
            agent = _agents(line, "GetAgent", asked).agent
            return agent if agent.run.stdout_bytes or agent.state in ENDED else None

        found = self._until(look, f"the first output of {planned.agent}")
        return bool(found.run.stdout_bytes)

    def _end(self, line: Line, planned: Planned) -> None:
        _agents(line, "WaitAgent", agents_pb.WaitAgentRequest(agent=planned.agent))

    def _until(self, look: Callable[[], Any], what: str) -> Any:
        limit = time.monotonic() + _PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < limit, f"not within {_PATIENCE_S} s: {what}"
            time.sleep(0.01)
        return found


def _agents(line: Line, method: str, request: Message) -> "agents_pb.SpawnAgentResponse":
    return line.call(agent_service_pb2_grpc.AgentServiceStub, method, request)  # type: ignore[no-any-return]
