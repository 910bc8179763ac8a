"""Who may do what: the owner's token, the tokens of runs, and the folders that keep everybody else out."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import contextlib
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.api_words import append, new_event, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged, eventually
from tests.e2e.test_api_errors import METHODS, _name

pytestmark = pytest.mark.e2e

# An agent that does as it is told over its own door: a request in hex on a line, the answer's code and bytes back.
CALLER = """
import os, sys
import grpc
token = open(os.environ["KAGE_TOKEN_FILE"]).read()
def ask(path, request):
    # A channel of its own for each question: a test of this module kills the daemon, and a connection from before
    # that is noticed to be broken only by the next call on it.
    with grpc.insecure_channel("unix:" + os.environ["KAGE_SOCKET"]) as channel:
        call = channel.unary_unary(path)
        return call(request, metadata=[("authorization", "Bearer " + token)], timeout=20, wait_for_ready=True)
print("up", flush=True)
for line in sys.stdin:
    path, request = line.split()
    try:
        answer = ask(path, bytes.fromhex(request[1:]))
        print("OK", answer.hex(), flush=True)
    except grpc.RpcError as error:
        print(error.code().name, error.details(), flush=True)
"""


def _call(kaged: Kaged, socket: Path, method: str, request: bytes, token: str | None) -> list[bytes]:
    metadata = [("authorization", token)] if token is not None else []
    with grpc.insecure_channel(f"unix:{socket}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        path = f"/kaged.api.v1.{method}"
        answers: Any = channel.unary_stream(path)(request, timeout=DEADLINE_S, metadata=metadata)  # type: ignore[call-arg]
        return list(answers)


class _Inside:
    """An agent that calls what the test tells it to."""

    def __init__(self, kaged: Kaged, folder: Path) -> None:
        script = folder / "caller.py"
        script.write_text(CALLER)
        self._kaged = kaged
        self.id = kaged.spawn(
            sys.executable,
            str(script),
            stdin=2,
            environment={"GRPC_VERBOSITY": "NONE", "PYTHONPATH": ":".join(sys.path)},
        )
        self._said = 1
        eventually(lambda: b"up" in kaged.output(self.id), "the agent to be up")

    def ask(self, method: str, request: bytes) -> tuple[str, str]:
        self._kaged.send(self.id, f"/kaged.api.v1.{method} x{request.hex()}\n".encode())
        self._said += 1
        lines = eventually(self._lines, f"an answer to {method}")
        code, _, rest = lines[-1].partition(" ")
        return code, rest

    def _lines(self) -> list[str] | None:
        lines = self._kaged.output(self.id).decode().splitlines(keepends=True)
        return lines if len(lines) >= self._said and lines[-1].endswith("\n") else None


@pytest.fixture(scope="module")
def inside(kaged: Kaged, tmp_path_factory: pytest.TempPathFactory) -> _Inside:
    return _Inside(kaged, tmp_path_factory.mktemp("inside"))


@pytest.mark.parametrize("method", METHODS, ids=_name)
def test_no_call_without_a_token_that_somebody_issued(kaged, method):
    for token in (None, "", "Bearer ", "Bearer " + "0" * 64, kaged.token, "bearer " + kaged.token, "Bearer é"):
        if token is not None and not token.isascii():
            continue  # headers are ASCII: a client cannot even send it
        for request in (b"", b"\xff"):
            found = refused(
                lambda token=token, request=request: _call(kaged, kaged.socket, _name(method), request, token)
            )
            assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
            assert kaged.token not in found.message + found.hint


@pytest.mark.parametrize("method", METHODS, ids=_name)
def test_the_owners_token_is_worth_nothing_at_the_agents_door(kaged, method):
    door = kaged.socket.with_name("agents.sock")
    found = refused(lambda: _call(kaged, door, _name(method), b"", f"Bearer {kaged.token}"))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


def test_sockets_and_secrets_are_the_owners_alone(kaged):
    for path, mode in (
        (kaged.socket, 0o600),
        (kaged.socket.with_name("agents.sock"), 0o600),
        (kaged.socket.parent, 0o700),
        (kaged.state, 0o700),
        (kaged.state / "owner.token", 0o600),
        (kaged.state / "agents.key", 0o600),
        (kaged.socket.with_name("owner.token"), 0o600),
        (kaged.state / "runs", 0o700),
    ):
        assert oct(path.stat().st_mode & 0o777) == oct(mode), path


def test_a_runs_token_is_in_its_folder_and_its_alone(kaged, inside):
    run = kaged.agent(inside.id).run.id
    token = kaged.state / "runs" / run / "token"
    assert oct(token.stat().st_mode & 0o777) == oct(0o600)
    assert token.read_text().startswith(f"{run}:")


def test_an_agent_appends_about_itself_under_its_own_number(kaged, inside):
    event = new_event("notes/inside", agent=inside.id)
    code, answer = inside.ask("EventService/AppendEvents", pb.AppendEventsRequest(events=[event]).SerializeToString())
    assert code == "OK", answer
    seq = pb.AppendEventsResponse.FromString(bytes.fromhex(answer)).appended[0].seq
    stored = kaged.events.GetEvent(pb.GetEventRequest(seq=seq), timeout=DEADLINE_S).event
    assert stored.actor == kaged.agent(inside.id).actor >= 16


def test_an_agent_does_not_append_about_another_nor_in_the_daemons_name(kaged, inside):
    for event in (
        new_event("notes/inside", agent="another"),
        new_event(f"agents/{inside.id}"),
        new_event("notes/inside", "agent.ended"),
    ):
        request = pb.AppendEventsRequest(events=[event]).SerializeToString()
        assert inside.ask("EventService/AppendEvents", request)[0] == "PERMISSION_DENIED"


def test_an_agents_request_ids_are_its_own(kaged, inside):
    request = pb.AppendEventsRequest(events=[new_event("notes/mine")], request_id="shared-word").SerializeToString()
    first, again = inside.ask("EventService/AppendEvents", request), inside.ask("EventService/AppendEvents", request)
    assert first == again
    assert first[0] == "OK"
    owner = append(kaged, new_event("notes/owners"), request_id="shared-word")
    assert owner[0].revision == 1


def test_an_agent_learns_where_the_journal_stands(inside):
    assert inside.ask("EventService/GetHead", b"")[0] == "OK"


def test_an_agent_may_do_nothing_else(inside):
    allowed = {"EventService/AppendEvents", "EventService/AppendStream", "EventService/GetHead"}
    for method in METHODS:
        if _name(method) not in allowed:
            code, words = inside.ask(_name(method), b"")
            assert code == "PERMISSION_DENIED", (_name(method), code, words)


def test_an_agents_token_is_worth_nothing_at_the_owners_door(kaged, inside):
    run = kaged.agent(inside.id).run.id
    token = (kaged.state / "runs" / run / "token").read_text()
    for method in ("EventService/GetHead", "AgentService/ListAgents", "DaemonService/GetStatus"):
        found = refused(lambda method=method: _call(kaged, kaged.socket, method, b"", f"Bearer {token}"))
        assert found.reason == "TOKEN_INVALID"


def test_a_token_dies_with_its_run_and_lives_through_a_restart_of_the_daemon(kaged):
    agent = kaged.spawn("sleep", "1000")
    kaged.wait_state(agent, agents_pb.AGENT_STATE_RUNNING)
    run = kaged.agent(agent).run.id
    token = (kaged.state / "runs" / run / "token").read_text()
    door = kaged.socket.with_name("agents.sock")
    assert _call(kaged, door, "EventService/GetHead", b"", f"Bearer {token}")
    kaged.restart()
    assert _call(kaged, door, "EventService/GetHead", b"", f"Bearer {token}")
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert (
        refused(lambda: _call(kaged, door, "EventService/GetHead", b"", f"Bearer {forged}")).reason == "TOKEN_INVALID"
    )
    kaged.end(agent)
    found = refused(lambda: _call(kaged, door, "EventService/GetHead", b"", f"Bearer {token}"))
    assert found.reason == "TOKEN_INVALID"
    assert "KAGE_TOKEN_FILE" in found.hint
    kaged.agents.RestartAgent(agents_pb.RestartAgentRequest(agent=agent), timeout=DEADLINE_S)
    kaged.wait_state(agent, agents_pb.AGENT_STATE_RUNNING)
    assert refused(lambda: _call(kaged, door, "EventService/GetHead", b"", f"Bearer {token}")).reason == "TOKEN_INVALID"
    kaged.end(agent)


def test_the_token_stays_the_same_over_restarts_and_a_stop_takes_the_sockets_away(tmp_path):
    with Kaged(tmp_path) as kaged:
        token = kaged.token
        kaged.restart()
        assert kaged.token == token
        assert kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status.pid
        assert kaged.stop() == 0
        assert not kaged.socket.exists()
        assert not kaged.socket.with_name("agents.sock").exists()


def test_no_token_is_ever_written_to_the_journal_or_the_log(kaged, inside):
    run = kaged.agent(inside.id).run.id
    secrets = [kaged.token, (kaged.state / "runs" / run / "token").read_text().partition(":")[2]]
    secrets.append((kaged.state / "agents.key").read_text().strip())
    stored = b"".join(event.SerializeToString() for event in kaged.read())
    with contextlib.suppress(FileNotFoundError):
        stored += kaged.log.read_bytes()
    assert not [secret for secret in secrets if secret.encode() in stored]


def test_whoever_finds_the_door_finds_its_token_beside_it(tmp_path):
    kaged = Kaged(tmp_path)
    beside = kaged.socket.with_name("owner.token")
    beside.write_text("of a daemon that was here before\n")
    kaged.launch()
    try:
        eventually(kaged.socket.exists, "the socket")
        assert beside.read_text("ascii").strip() == (kaged.state / "owner.token").read_text("ascii").strip()
        kaged.wait_serving()
    finally:
        kaged.__exit__(None, None, None)


def test_a_first_start_makes_the_folder_of_its_door(tmp_path):
    kaged = Kaged(tmp_path)
    kaged.socket = kaged.socket.parent / "run" / "kaged.sock"
    with kaged:
        assert kaged.socket.with_name("owner.token").exists()
        assert kaged.socket.parent.stat().st_mode & 0o777 == 0o700
