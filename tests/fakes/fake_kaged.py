"""A kaged in memory, on a real socket, for tests of kagectl: small, deterministic, no store, no processes.

Agents are scripted by their command: `echo TEXT…` prints and ends; `fail N` writes to stderr and exits N;
`die N` ends by signal N; `sleep` runs until stopped; `cat` gives back its input until it ends.
Errors carry the same details as the real daemon's. `restart()` drops every line and serves again, with the
same memory: what a restart of kaged looks like from outside.
"""

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import agent_service_pb2_grpc as agents_grpc
from kaged.api.v1 import approval_service_pb2 as approvals_pb
from kaged.api.v1 import approval_service_pb2_grpc as approvals_grpc
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import daemon_service_pb2_grpc as daemon_grpc
from kaged.api.v1 import event_pb2, fact_pb2, spec_pb2
from kaged.api.v1 import event_service_pb2 as events_pb
from kaged.api.v1 import event_service_pb2_grpc as events_grpc
from kaged.api.v1 import supervisor_service_pb2 as trees_pb
from kaged.api.v1 import supervisor_service_pb2_grpc as trees_grpc

TOKEN = "5ec2e7"
START_S = 1_790_000_000
ENDED = (agents_pb.AGENT_STATE_SUCCEEDED, agents_pb.AGENT_STATE_FAILED, agents_pb.AGENT_STATE_CANCELLED)


def refuse(
    context: grpc.ServicerContext,
    code: str,
    message: str,
    *,
    reason: str = "",
    hint: str = "",
    field: str = "",
    retry_s: float | None = None,
) -> None:
    """End the call the way kaged does: google.rpc.Status with ErrorInfo, BadRequest and RetryInfo."""
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message=message)
    info = error_details_pb2.ErrorInfo(reason=reason or code, domain="kage.dev", metadata={"hint": hint})
    details = [info]
    if field:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=field, description=message)
        details.append(bad)
    if retry_s is not None:
        delay = duration_pb2.Duration(nanos=int(retry_s * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for each in details:
        packed = any_pb2.Any()
        packed.Pack(each)
        status.details.append(packed)
    context.abort_with_status(rpc_status.to_status(status))


class World:
    """What the fake knows. All of it is guarded by `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.agents: dict[str, agents_pb.Agent] = {}
        self.output: dict[str, list[agents_pb.LogLine]] = {}
        self.inputs: dict[str, bytes] = {}
        self.events: list[event_pb2.Event] = []
        self.ids: dict[bytes, int] = {}
        self.revisions: dict[str, int] = {}
        self.approvals: dict[str, approvals_pb.Approval] = {}
        self.trees: dict[str, trees_pb.GetTreeResponse] = {}
        self.requests: dict[str, object] = {}
        self.answers: dict[str, object] = {}
        self.asked: list[object] = []
        self.recovering = 0
        self.following = 0
        self.watching = 0
        self.stopping = threading.Event()
        self.numbers = itertools.count(1)
        self.pid = 0

    # --- facts -------------------------------------------------------------------------------------------

    def record(self, meta: event_pb2.Meta, body: event_pb2.Body) -> event_pb2.Event:
        """Append one event. The caller holds `changed`."""
        revision = self.revisions.get(meta.stream, 0) + 1
        self.revisions[meta.stream] = revision
        seq = len(self.events) + 1
        event = event_pb2.Event(
            seq=seq,
            recorded_us=(START_S + seq) * 1_000_000,
            revision=revision,
            actor=2,
            meta=meta,
            body=body,
        )
        self.events.append(event)
        self.ids[meta.id] = seq
        self.changed.notify_all()
        return event

    def note(self, kind: str, agent: str, fact: fact_pb2.Fact, body: event_pb2.Body | None = None) -> None:
        identity = len(self.events).to_bytes(16, "big")
        meta = event_pb2.Meta(id=identity, stream=f"agents/{agent}", type=kind, agent=agent, fact=fact)
        self.record(meta, body or event_pb2.Body())

    # --- agents ------------------------------------------------------------------------------------------

    def find(self, name: str, context: grpc.ServicerContext) -> agents_pb.Agent:
        for agent in self.agents.values():
            if name == agent.name or (len(name) >= 4 and agent.id.startswith(name)):
                return agent
        refuse(
            context,
            "NOT_FOUND",
            f"no agent {name!r}",
            reason="AGENT_NOT_FOUND",
            hint="kagectl agent list shows the known ones",
        )
        raise AssertionError

    def write(self, agent: agents_pb.Agent, data: bytes, channel: int = fact_pb2.OUTPUT_CHANNEL_STDOUT) -> None:
        """The agent wrote `data`. The caller holds `changed`."""
        out = channel == fact_pb2.OUTPUT_CHANNEL_STDOUT
        offset = agent.run.stdout_bytes if out else agent.run.stderr_bytes
        piece = agents_pb.LogLine(run=agent.run.id, channel=channel, data=data, offset=offset)
        piece.seq = len(self.events) + 1
        piece.time.FromSeconds(START_S + piece.seq)
        self.output[agent.id].append(piece)
        if out:
            agent.run.stdout_bytes += len(data)
        else:
            agent.run.stderr_bytes += len(data)
        fact = fact_pb2.OutputChunk(run=agent.run.id, channel=channel, offset=offset, length=len(data))
        self.note("output.chunk", agent.id, fact_pb2.Fact(output_chunk=fact), event_pb2.Body(output=data))

    def end(self, agent: agents_pb.Agent, *, code: int = 0, signal: int = 0, cancelled: bool = False) -> None:
        """The agent's run ended. The caller holds `changed`."""
        agent.run.phase = "ended"
        agent.run.end_kind = "exited"
        agent.run.exit_code, agent.run.signal = (-1, signal) if signal else (code, 0)
        outcome = agent.outcome
        outcome.exit_code, outcome.signal = agent.run.exit_code, signal
        good = (code == 0 and not signal) or code in agent.spec.success_exit_codes
        if cancelled:
            agent.state, outcome.reason, outcome.detail = agents_pb.AGENT_STATE_CANCELLED, "stopped", "was stopped"
        elif good:
            agent.state, outcome.reason = agents_pb.AGENT_STATE_SUCCEEDED, "exit"
        else:
            agent.state = agents_pb.AGENT_STATE_FAILED
            outcome.reason = "signal" if signal else "exit"
            outcome.detail = f"killed by signal {signal}" if signal else f"exit code {code}"
        fact = fact_pb2.AgentEnded(
            outcome=agents_pb.AgentState.Name(agent.state).removeprefix("AGENT_STATE_").lower(),
            reason=outcome.reason,
            exit_code=outcome.exit_code,
            signal=signal,
        )
        self.note("agent.ended", agent.id, fact_pb2.Fact(agent_ended=fact))

    def start(self, agent: agents_pb.Agent) -> None:
        """Play the script. The caller holds `changed`."""
        words = list(agent.spec.command)
        agent.run.id = f"run-{next(self.numbers)}"
        agent.run.attempt += 1
        agent.run.phase = "started"
        agent.run.pid = 4000 + agent.run.attempt
        agent.state = agents_pb.AGENT_STATE_RUNNING
        self.note("run.started", agent.id, fact_pb2.Fact(run_started=fact_pb2.RunStarted(run=agent.run.id)))
        match words[0]:
            case "echo":
                self.write(agent, " ".join(words[1:]).encode() + b"\n")
                self.end(agent)
            case "fail":
                self.write(agent, b"it went wrong\n", fact_pb2.OUTPUT_CHANNEL_STDERR)
                self.end(agent, code=int(words[1]))
            case "die":
                self.end(agent, signal=int(words[1]))
            case "env":
                pairs = sorted(agent.spec.environment.items())
                self.write(agent, "".join(f"{k}={v}\n" for k, v in pairs).encode())
                self.end(agent)
            case _:
                pass


class Agents(agents_grpc.AgentServiceServicer):
    def __init__(self, world: World) -> None:
        self.world = world

    def SpawnAgent(self, request, context):
        with self.world.changed:
            self.world.asked.append(request)
            if request.request_id in self.world.answers:
                return self.world.answers[request.request_id]
            if not request.request_id:
                refuse(context, "INVALID_ARGUMENT", "is missing", field="request_id")
            if request.spec.command and request.spec.command[0] == "nonsense":
                refuse(context, "INVALID_ARGUMENT", "no such program", field="spec.command", hint="check PATH")
            number = next(self.world.numbers)
            agent = agents_pb.Agent(id=f"{number:04x}beef-0000-7000-8000-{number:012x}", spec=request.spec)
            agent.name = request.spec.name or f"agent-{number}"
            agent.secret_names.extend(sorted(request.spec.secret_environment))
            agent.spec.secret_environment.clear()
            agent.create_time.FromSeconds(START_S)
            agent.update_time.FromSeconds(START_S)
            if request.validate_only:
                return agents_pb.SpawnAgentResponse(agent=agent)
            self.world.agents[agent.id] = agent
            self.world.output[agent.id] = []
            text = spec_pb2.AgentText(command=agent.spec.command)
            fact = fact_pb2.Fact(agent_spawned=fact_pb2.AgentSpawned(number=number))
            self.world.note("agent.spawned", agent.id, fact, event_pb2.Body(agent=text))
            self.world.start(agent)
            answer = agents_pb.SpawnAgentResponse(agent=agent)
            self.world.answers[request.request_id] = answer
            return answer

    def GetAgent(self, request, context):
        with self.world.changed:
            return agents_pb.GetAgentResponse(agent=self.world.find(request.agent, context))

    def ListAgents(self, request, context):
        with self.world.changed:
            found = [a for a in self.world.agents.values() if request.show_ended or a.state not in ENDED]
            found.reverse()
            first = int(request.page_token or 0)
            page = found[first : first + min(request.page_size or 100, 2)]  # pages of two: paging is tested
            answer = agents_pb.ListAgentsResponse(agents=page)
            if first + len(page) < len(found):
                answer.next_page_token = str(first + len(page))
            return answer

    def WaitAgent(self, request, context):
        with self.world.changed:
            agent = self.world.find(request.agent, context)
            wanted = tuple(request.states) or ENDED
            while agent.state not in wanted and context.is_active() and not self.world.stopping.is_set():
                self.world.changed.wait(0.05)
            if self.world.stopping.is_set():
                refuse(context, "UNAVAILABLE", "the daemon stops")
            return agents_pb.WaitAgentResponse(agent=agent)

    def StopAgent(self, request, context):
        with self.world.changed:
            self.world.asked.append(request)
            agent = self.world.find(request.agent, context)
            if agent.state in ENDED:
                refuse(context, "FAILED_PRECONDITION", f"{agent.name} has ended", reason="AGENT_ENDED")
            self.world.end(agent, signal=15, cancelled=True)
            return agents_pb.StopAgentResponse(agent=agent)

    def SignalAgent(self, request, context):
        with self.world.changed:
            self.world.asked.append(request)
            return agents_pb.SignalAgentResponse(agent=self.world.find(request.agent, context))

    def RestartAgent(self, request, context):
        with self.world.changed:
            agent = self.world.find(request.agent, context)
            agent.restarts += 1
            self.world.start(agent)
            return agents_pb.RestartAgentResponse(agent=agent)

    def RemoveAgent(self, request, context):
        with self.world.changed:
            agent = self.world.find(request.agent, context)
            if agent.state not in ENDED:
                refuse(context, "FAILED_PRECONDITION", f"{agent.name} still runs", hint="kagectl agent stop first")
            del self.world.agents[agent.id]
            return agents_pb.RemoveAgentResponse(agent=agent)

    def SendInput(self, request, context):
        with self.world.changed:
            agent = self.world.find(request.agent, context)
            if request.request_id in self.world.answers:
                return self.world.answers[request.request_id]
            self.world.inputs[agent.id] = self.world.inputs.get(agent.id, b"") + request.data
            if agent.spec.command[0] == "cat":
                if request.data:
                    self.world.write(agent, request.data)
                if request.eof:
                    self.world.end(agent)
            answer = agents_pb.SendInputResponse(seq=len(self.world.events))
            self.world.answers[request.request_id] = answer
            return answer

    def ResizeTerminal(self, request, context):
        with self.world.changed:
            self.world.asked.append(request)
            self.world.find(request.agent, context)
            return agents_pb.ResizeTerminalResponse()

    def StreamLogs(self, request, context):
        with self.world.changed:
            agent = self.world.find(request.agent, context)
            pieces = self.world.output[agent.id]
            self.world.following += request.follow
        at = request.after_seq  # a piece is an event here
        if request.HasField("tail_lines"):
            at = max(len(pieces) - request.tail_lines, 0)
        while context.is_active():
            with self.world.changed:
                fresh, ended = pieces[at:], agent.state in ENDED
                if not fresh and not ended and request.follow and not self.world.stopping.is_set():
                    self.world.changed.wait(0.05)
                    continue
            if self.world.stopping.is_set():
                refuse(context, "UNAVAILABLE", "the daemon stops", retry_s=0.05)
            at += len(fresh)
            lines = [p for p in fresh if request.channel in (0, p.channel)]
            if lines:
                yield agents_pb.StreamLogsResponse(lines=[shape(p, raw=request.raw) for p in lines], after_seq=at)
            if not fresh and (ended or not request.follow):
                return

    def WatchAgents(self, request, context):
        with self.world.changed:
            for agent in self.world.agents.values():
                if f'"{agent.id}"' in request.filter:
                    yield agents_pb.WatchAgentsResponse(agent=agent)
                    yield agents_pb.WatchAgentsResponse(gone=agent.id)


def shape(piece: agents_pb.LogLine, *, raw: bool) -> agents_pb.LogLine:
    """A piece as it is, or as the line that it holds."""
    line = agents_pb.LogLine()
    line.CopyFrom(piece)
    if not raw:
        line.data = piece.data.removesuffix(b"\n")
        line.partial = not piece.data.endswith(b"\n")
    return line


class Events(events_grpc.EventServiceServicer):
    def __init__(self, world: World) -> None:
        self.world = world
        self.die_after: int | None = None
        self.messages = 0

    def _append(self, events, checks):
        """Appended for each event, or (code, message, reason)."""
        known = [self.world.ids.get(event.meta.id) for event in events]
        if all(known):
            return [events_pb.Appended(seq=seq, deduplicated=True) for seq in known]
        for check in checks:
            if check.HasField("revision") and self.world.revisions.get(check.stream, 0) != check.revision:
                return ("FAILED_PRECONDITION", f"{check.stream} is not at {check.revision}", "WRONG_REVISION")
            if check.HasField("absent") and check.stream in self.world.revisions:
                return ("FAILED_PRECONDITION", f"{check.stream} is not empty", "WRONG_REVISION")
        for event in events:
            if event.meta.type.startswith("agent."):
                return ("PERMISSION_DENIED", f"{event.meta.type} is the daemon's own", "RESERVED_EVENT_TYPE")
        done = [self.world.record(event.meta, event.body) for event in events]
        return [events_pb.Appended(seq=event.seq, revision=event.revision) for event in done]

    def AppendEvents(self, request, context):
        with self.world.changed:
            result = self._append(request.events, request.checks)
        if isinstance(result, tuple):
            refuse(context, result[0], result[1], reason=result[2])
        return events_pb.AppendEventsResponse(appended=result)

    def AppendStream(self, requests, context):
        for request in requests:
            self.messages += 1
            answer = events_pb.AppendStreamResponse(batch=request.batch)
            with self.world.changed:
                before = len(self.world.events)
                for index, group in enumerate(request.groups):
                    result = self._append(group.events, group.checks)
                    if isinstance(result, tuple):
                        code = code_pb2.Code.Value(result[0])
                        failure = events_pb.Failure(code=code, message=result[1], reason=result[2])
                        answer.exceptions.add(group=index, failure=failure)
                    elif any(each.deduplicated for each in result):
                        answer.exceptions.add(group=index, appended=result)
                answer.first_seq, answer.last_seq = before + 1, len(self.world.events)
            if self.die_after is not None:
                self.die_after -= 1
                if self.die_after < 0:
                    self.die_after = None
                    refuse(context, "UNAVAILABLE", "the daemon stops")
            yield answer

    def ReadEvents(self, request, context):
        with self.world.changed:
            found = [event for event in self.world.events if matches(request.filter, event)]
        found = [event for event in found if request.from_seq <= event.seq <= (request.to_seq or event.seq)]
        if request.direction == events_pb.DIRECTION_BACKWARDS:
            found.reverse()
        found = found[: request.limit or None]
        step = request.max_batch or 256
        for at in range(0, len(found), step):
            yield events_pb.ReadEventsResponse(events=found[at : at + step])
        yield events_pb.ReadEventsResponse(head_seq=len(self.world.events))

    def SubscribeEvents(self, request, context):
        at = request.after_seq
        if request.WhichOneof("start") in ("now", None):
            at = len(self.world.events)
        yield events_pb.SubscribeEventsResponse(
            confirmed=events_pb.Confirmed(store_id="fake", after_seq=at, head_seq=len(self.world.events))
        )
        live = False
        self.world.watching += 1
        while context.is_active():
            with self.world.changed:
                fresh = self.world.events[at : at + (request.max_batch or 256)]
                if not fresh and live and not self.world.stopping.is_set():
                    self.world.changed.wait(0.05)
                    continue
            if self.world.stopping.is_set():
                refuse(context, "UNAVAILABLE", "the daemon stops")
            at += len(fresh)
            wanted = [event for event in fresh if matches(request.filter, event)]
            if wanted:
                yield events_pb.SubscribeEventsResponse(batch=events_pb.EventBatch(events=wanted))
            elif not fresh:
                live = True
                yield events_pb.SubscribeEventsResponse(caught_up=events_pb.CaughtUp(seq=at))

    def GetEvent(self, request, context):
        seq = request.seq if request.HasField("seq") else self.world.ids.get(request.id, 0)
        if not 1 <= seq <= len(self.world.events):
            refuse(context, "NOT_FOUND", f"no event {seq}", hint="kagectl event list shows the last ones")
        return events_pb.GetEventResponse(event=self.world.events[seq - 1])

    def GetHead(self, request, context):
        return events_pb.GetHeadResponse(store_id="fake", head_seq=len(self.world.events), first_seq=1)


def matches(text: str, event: event_pb2.Event) -> bool:
    """`type = "x"`, `type = "x.*"`, `stream = …`, `agent = …`, joined by AND: all that the tests write."""
    fields = {"type": event.meta.type, "stream": event.meta.stream, "agent": event.meta.agent}
    for term in filter(None, text.split(" AND ")):
        name, _, value = term.strip("()").partition(" = ")
        value = value.strip('"')
        found = fields[name]
        if not (found.startswith(value[:-1]) if value.endswith("*") else found == value):
            return False
    return True


class Approvals(approvals_grpc.ApprovalServiceServicer):
    def __init__(self, world: World) -> None:
        self.world = world

    def ListApprovals(self, request, context):
        found = [
            each
            for each in self.world.approvals.values()
            if request.show_answered or each.state == approvals_pb.APPROVAL_STATE_OPEN
        ]
        return approvals_pb.ListApprovalsResponse(approvals=found)

    def _find(self, name, context):
        for each in self.world.approvals.values():
            if each.id.startswith(name):
                return each
        refuse(context, "NOT_FOUND", f"no approval {name!r}", reason="APPROVAL_NOT_FOUND")
        return None

    def GetApproval(self, request, context):
        return approvals_pb.GetApprovalResponse(approval=self._find(request.approval, context))

    def AnswerApproval(self, request, context):
        found = self._find(request.approval, context)
        if found.state != approvals_pb.APPROVAL_STATE_OPEN:
            refuse(context, "FAILED_PRECONDITION", "this approval is answered", reason="ALREADY_ANSWERED")
        yes, no = approvals_pb.APPROVAL_STATE_APPROVED, approvals_pb.APPROVAL_STATE_DENIED
        found.state = yes if request.approve else no
        found.note = request.note
        return approvals_pb.AnswerApprovalResponse(approval=found)


class Trees(trees_grpc.SupervisorServiceServicer):
    def __init__(self, world: World) -> None:
        self.world = world

    def ApplyTree(self, request, context):
        self.world.asked.append(request)
        added = [child.id for child in request.spec.children]
        tree = trees_pb.Tree(name=request.tree, phase="running")
        tree.root.CopyFrom(node(request.tree, "", request.spec))
        if not request.validate_only:
            self.world.trees[request.tree] = trees_pb.GetTreeResponse(tree=tree, spec=request.spec)
        return trees_pb.ApplyTreeResponse(tree=tree, added=added)

    def _find(self, name, context):
        if name not in self.world.trees:
            refuse(context, "NOT_FOUND", f"no tree {name!r}", hint="kagectl tree list shows the known ones")
        return self.world.trees[name]

    def GetTree(self, request, context):
        return self._find(request.tree, context)

    def ListTrees(self, request, context):
        return trees_pb.ListTreesResponse(trees=[each.tree for each in self.world.trees.values()])

    def StopTree(self, request, context):
        found = self._find(request.tree, context)
        found.tree.phase = "stopping"
        return trees_pb.StopTreeResponse(tree=found.tree)

    def RestartChild(self, request, context):
        self.world.asked.append(request)
        return trees_pb.RestartChildResponse(tree=self._find(request.tree, context).tree)

    def TerminateChild(self, request, context):
        self.world.asked.append(request)
        return trees_pb.TerminateChildResponse(tree=self._find(request.tree, context).tree)

    def DeleteChild(self, request, context):
        refuse(context, "FAILED_PRECONDITION", "it still runs", hint="kagectl tree terminate first")


def node(name: str, path: str, spec: trees_pb.SupervisorSpec) -> trees_pb.TreeNode:
    """The node of a supervisor and its children, all running."""
    found = trees_pb.TreeNode(id=name, path=path, kind="supervisor", phase="running", strategy=spec.strategy)
    found.intensity = spec.intensity if spec.HasField("intensity") else 1
    for child in spec.children:
        below = f"{path}/{child.id}" if path else child.id
        if child.HasField("supervisor"):
            found.children.append(node(child.id, below, child.supervisor))
        else:
            leaf = trees_pb.TreeNode(id=child.id, path=below, kind="agent", phase="running", agent="00ff00ff")
            leaf.restart = child.restart
            leaf.significant = child.significant
            found.children.append(leaf)
    return found


class Daemon(daemon_grpc.DaemonServiceServicer):
    def __init__(self, world: World, socket: str, shut_down: Callable[[], None]) -> None:
        self.world = world
        self.socket = socket
        self.shut_down = shut_down

    def _status(self) -> daemon_pb.DaemonStatus:
        status = daemon_pb.DaemonStatus(
            version="0.1.0",
            phase=daemon_pb.DAEMON_PHASE_SERVING,
            pid=self.world.pid,
            socket=self.socket,
            head_seq=len(self.world.events),
            first_seq=1,
            agents={"running": 1},
            fsync_p50_us=240,
            fsync_p99_us=1900,
            api_revision=1,
            disk_free_bytes=5 << 30,
        )
        status.start_time.FromSeconds(START_S)
        return status

    def GetStatus(self, request, context):
        if self.world.recovering:
            self.world.recovering -= 1
            refuse(context, "UNAVAILABLE", "recovers", reason="RECOVERING", retry_s=0.01)
        return daemon_pb.GetStatusResponse(status=self._status())

    def GetStats(self, request, context):
        return daemon_pb.GetStatsResponse(status=self._status(), events_appended=7, commits=2, store={"k": "v"})

    def Reload(self, request, context):
        return daemon_pb.ReloadResponse(applied=["log.level"], needs_restart=["socket"])

    def Shutdown(self, request, context):
        self.world.asked.append(request)
        threading.Thread(target=self.shut_down, daemon=True).start()
        return daemon_pb.ShutdownResponse(agents_kept=1)

    def WatchStatus(self, request, context):
        yield daemon_pb.WatchStatusResponse(status=self._status())


class _Door(grpc.ServerInterceptor):
    def intercept_service(self, go_on, details):
        if ("authorization", f"Bearer {TOKEN}") in details.invocation_metadata:
            return go_on(details)

        def locked(request, context):
            refuse(context, "UNAUTHENTICATED", "no call without a token", reason="TOKEN_INVALID")

        handler = go_on(details)
        if handler is not None and handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(locked)
        return grpc.unary_unary_rpc_method_handler(locked)


class FakeKaged:
    """The fake at a socket in `folder`. A context manager; `socket` is its path."""

    def __init__(self, folder: Path, *, pid: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = str(folder / "kaged.sock")
        (folder / "owner.token").write_text(TOKEN + "\n")
        self.world = World()
        self.world.pid = pid
        self.events = Events(self.world)
        self._server: grpc.Server | None = None

    def __enter__(self) -> "FakeKaged":
        self.serve()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self) -> None:
        """Bind and serve."""
        Path(self.socket).unlink(missing_ok=True)
        self.world.stopping.clear()
        server = grpc.server(ThreadPoolExecutor(max_workers=24), interceptors=(_Door(),))
        agents_grpc.add_AgentServiceServicer_to_server(Agents(self.world), server)
        events_grpc.add_EventServiceServicer_to_server(self.events, server)
        approvals_grpc.add_ApprovalServiceServicer_to_server(Approvals(self.world), server)
        trees_grpc.add_SupervisorServiceServicer_to_server(Trees(self.world), server)
        daemon_grpc.add_DaemonServiceServicer_to_server(Daemon(self.world, self.socket, self.close), server)
        server.add_insecure_port(f"unix:{self.socket}")
        server.start()
        self._server = server

    def close(self) -> None:
        """Drop every line and stop serving."""
        server, self._server = self._server, None
        if server is None:
            return
        self.world.stopping.set()
        with self.world.changed:
            self.world.changed.notify_all()
        server.stop(grace=0.5).wait(5)
        Path(self.socket).unlink(missing_ok=True)

    def restart(self) -> None:
        """What a restart of the daemon looks like from outside."""
        self.close()
        self.serve()

    def wait_for(self, condition: Callable[[World], bool], *, within_s: float = 10.0) -> None:
        """Return when `condition` holds of the world."""
        deadline = time.monotonic() + within_s
        with self.world.changed:
            while not condition(self.world):
                assert time.monotonic() < deadline, "the fake never got there"
                self.world.changed.wait(0.02)


def ask(approval: str, agent: str) -> approvals_pb.Approval:
    """An open question."""
    return approvals_pb.Approval(
        id=approval,
        agent=agent,
        state=approvals_pb.APPROVAL_STATE_OPEN,
        kind="action",
        title="delete the build folder",
        tool="Bash",
        data_json='{"command": "rm -rf build"}',
    )
