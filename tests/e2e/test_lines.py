"""Lines that nobody crosses: what agents, other users and other daemons try, beside what test_identity has them try."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import grp
import os
import socket
import stat
from pathlib import Path

import grpc
import pytest

from kagectl.client.address import Address, find_address, probe, read_token
from kagectl.client.failures import ClientError
from kagectl.client.methods.daemon import GET_STATUS
from kagectl.client.quick import QuickClient
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.api_words import new_event, refused
from tests.e2e.daemon_kit import DEADLINE_S, Kaged

pytestmark = pytest.mark.e2e
root_only = pytest.mark.skipif(os.getuid() != 0, reason="becomes somebody else: root")
NOBODY = 65534


@pytest.fixture(scope="module")
def pair(kaged: Kaged) -> tuple[str, str]:
    """Two agents that live: one tries things, the other is meant by them."""
    both = [kaged.spawn("sleep", "1000") for _ in range(2)]
    for agent in both:
        kaged.wait_state(agent, 3)
    return both[0], both[1]


def token_of(kaged: Kaged, agent: str) -> str:
    return (kaged.state / "runs" / kaged.agent(agent).run.id / "token").read_text()


def as_agent(kaged: Kaged, token: str, method: str, *requests: bytes) -> list[bytes]:
    """Answers at the agents' door; one request, or a stream of them."""
    door = f"unix:{kaged.socket.with_name('agents.sock')}"
    with grpc.insecure_channel(door, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        path, metadata = f"/kaged.api.v1.EventService/{method}", [("authorization", f"Bearer {token}")]
        if method == "AppendStream":
            return list(channel.stream_stream(path)(iter(requests), timeout=DEADLINE_S, metadata=metadata))
        return [channel.unary_unary(path)(requests[0], timeout=DEADLINE_S, metadata=metadata)]


def forgeries(kaged: Kaged, pair: tuple[str, str]) -> list[tuple[str, event_pb2.NewEvent]]:
    """Events that one agent may not append."""
    _, other = pair
    run = kaged.agent(other).run.id
    return [
        ("about another agent", new_event("notes/x", agent=other)),
        ("about another agent's run", new_event("notes/x", run=run)),
        ("into another agent's stream", new_event(f"agents/{other}")),
        ("into another agent's output", new_event(f"agents/{other}/output")),
        ("in the daemon's words", new_event("notes/x", "run.ended")),
        ("an approval", new_event("notes/x", "approval.answered")),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("method", ["AppendEvents", "AppendStream"])
def test_an_agent_appends_nothing_in_another_name(
    kaged: Kaged, pair: tuple[str, str], method: str, number: int
) -> None:
    what, event = forgeries(kaged, pair)[number]
    before = kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status.head_seq
    if method == "AppendEvents":
        request = pb.AppendEventsRequest(events=[event]).SerializeToString()
        found = refused(lambda: as_agent(kaged, token_of(kaged, pair[0]), method, request))
        assert found.code == grpc.StatusCode.PERMISSION_DENIED, what
    else:
        group = pb.AppendStreamRequest(batch=1)
        group.groups.add(events=[event])
        (answer,) = as_agent(kaged, token_of(kaged, pair[0]), method, group.SerializeToString())
        found = pb.AppendStreamResponse.FromString(answer)
        assert found.last_seq < found.first_seq or not found.first_seq, what
        assert found.exceptions[0].failure.code == grpc.StatusCode.PERMISSION_DENIED.value[0], (what, found)
    mine = kaged.agent(pair[0]).actor
    forged = [event for event in kaged.read("", from_seq=before) if event.actor == mine]
    assert forged == [], what


@pytest.mark.parametrize(
    "forged",
    [
        event_pb2.Event(actor=1),
        event_pb2.Event(actor=2, seq=1),
        event_pb2.Event(recorded_us=1),
        event_pb2.Event(revision=9),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_an_agent_brings_no_field_of_the_daemon_in_front_or_behind(
    kaged: Kaged, pair: tuple[str, str], forged: event_pb2.Event, behind: bool
) -> None:
    honest = new_event("notes/forged").SerializeToString()
    raw = honest + forged.SerializeToString() if behind else forged.SerializeToString() + honest
    request = b"\x12" + _size(len(raw)) + raw
    assert pb.AppendEventsRequest.FromString(request).events
    found = refused(lambda: as_agent(kaged, token_of(kaged, pair[0]), "AppendEvents", request))
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT


def _size(number: int) -> bytes:
    return bytes((number,)) if number < 128 else bytes((number & 127 | 128, number >> 7))


def test_a_token_is_of_its_run_and_cannot_be_turned_into_another_runs(kaged: Kaged, pair: tuple[str, str]) -> None:
    mine, theirs = token_of(kaged, pair[0]), token_of(kaged, pair[1])
    mac = mine.rpartition(":")[2]
    other = theirs.rpartition(":")[0]
    for forged in (
        f"{other}:{mac}",
        f":{mac}",
        mac,
        f"{other}:",
        f"{other}",
        f"{other}:{'0' * 64}",
        mine[:-1],
        mine + "0",
    ):
        found = refused(lambda forged=forged: as_agent(kaged, forged, "GetHead", b""))
        assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), forged


# --- other users ------------------------------------------------------------------------------------------------


@root_only
def test_another_user_reaches_neither_socket_nor_token_nor_journal(kaged: Kaged, pair: tuple[str, str]) -> None:
    token = kaged.state / "runs" / kaged.agent(pair[0]).run.id / "token"
    files = [kaged.state / "owner.token", kaged.state / "agents.key", token, kaged.socket.with_name("owner.token")]
    address = find_address(str(kaged.socket), env={})
    os.seteuid(NOBODY)
    try:
        for door in (kaged.socket, kaged.socket.with_name("agents.sock")):
            with socket.socket(socket.AF_UNIX) as line, pytest.raises(PermissionError):
                line.connect(str(door))
        for file in files:
            with pytest.raises(PermissionError):
                file.read_bytes()
        with pytest.raises(PermissionError):
            list((kaged.state / "db").iterdir())
        with pytest.raises(ClientError, match="belongs to another user"):
            probe(address)
        with pytest.raises(ClientError, match="cannot read the token"):
            read_token(address)
    finally:
        os.seteuid(0)


@root_only
def test_the_token_is_not_sent_to_a_socket_that_another_user_put_there(tmp_path: Path) -> None:
    door, token = tmp_path / "kaged.sock", tmp_path / "owner.token"
    token.write_text("secret")
    os.chown(token, 4711, -1)
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(door))
        line.listen()
        os.chown(door, NOBODY, -1)
        with pytest.raises(ClientError, match="it was not sent") as found:
            probe(Address(socket=str(door), token_file=str(token)))
    assert (found.value.reason, found.value.code) == ("SOCKET_FORBIDDEN", "PERMISSION_DENIED")


def test_with_the_most_careless_umask_nothing_is_open_to_others(tmp_path: Path) -> None:
    with Kaged(tmp_path, prefix=("sh", "-c", 'umask 000; exec "$@"', "sh")) as kaged:
        kaged.wait_state(kaged.spawn("sleep", "1000"), 3)
        places = [kaged.state, kaged.socket.parent, *kaged.state.rglob("*"), *kaged.socket.parent.iterdir()]
        assert [str(path) for path in places if not path.is_symlink() and path.stat().st_mode & 0o077] == []


@root_only
def test_a_group_that_it_is_shared_with_comes_in_as_the_owner_and_nobody_else(tmp_path: Path) -> None:
    group = next(entry.gr_name for entry in grp.getgrall() if entry.gr_gid not in (os.getgid(), NOBODY))
    number = grp.getgrnam(group).gr_gid
    with Kaged(tmp_path, environment={"KAGED_SHARE_WITH_GROUP": group}) as kaged:
        beside = kaged.socket.with_name("owner.token")
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (kaged.socket, beside, kaged.socket.parent)}
        assert modes == {"kaged.sock": "0o660", "owner.token": "0o640", kaged.socket.parent.name: "0o710"}
        for path in (kaged.socket.with_name("agents.sock"), kaged.state / "owner.token", kaged.state):
            assert not path.stat().st_mode & 0o077, path
        address = find_address(str(kaged.socket), env={})
        with QuickClient(address) as client:
            assert client.call(GET_STATUS, daemon_pb.GetStatusRequest()).status.shared_with_group == group
        for groups, comes_in in (([number], True), ([], False)):
            before = os.getgroups()
            os.setgroups(groups)
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
            try:
                if comes_in:
                    with QuickClient(address) as client:
                        assert client.call(GET_STATUS, daemon_pb.GetStatusRequest()).status.pid
                else:
                    with pytest.raises(ClientError, match="belongs to another user"), QuickClient(address):
                        pass
            finally:
                os.seteuid(0)
                os.setegid(0)
                os.setgroups(before)
        kaged.kill()
        kaged.environment.clear()
        kaged.start()
        for path in (kaged.socket, beside, kaged.socket.parent):
            assert not path.stat().st_mode & 0o077, "closed again"


def test_a_group_that_cannot_be_shared_with_refuses_the_start_with_what_to_do(tmp_path: Path) -> None:
    with _Unstarted(tmp_path, environment={"KAGED_SHARE_WITH_GROUP": "no-such-group"}) as kaged:
        kaged.launch()
        assert kaged.exit_code() == 2
        assert "groupadd no-such-group" in kaged.words()
        assert "Traceback" not in kaged.words()


# --- other daemons ----------------------------------------------------------------------------------------------


def test_a_second_daemon_never_takes_a_live_socket(kaged: Kaged, tmp_path: Path) -> None:
    before = kaged.socket.stat().st_ino
    for state in (kaged.state, tmp_path / "state"):
        other = Kaged(tmp_path)
        other.state, other.socket = state, kaged.socket
        other.launch()
        assert other.exit_code() == 75
        assert "another kaged" in other.words()
    assert kaged.socket.stat().st_ino == before
    assert kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status.pid


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_replaced_by_one(tmp_path: Path, kind: str) -> None:
    with _Unstarted(tmp_path) as kaged:
        match kind:
            case "file":
                kaged.socket.write_text("precious")
            case "folder":
                kaged.socket.mkdir()
            case _:
                kaged.socket.symlink_to(tmp_path / "elsewhere")
        before = kaged.socket.lstat()
        kaged.launch()
        assert kaged.exit_code() == 75
        assert "is not a socket" in kaged.words()
        assert "Traceback" not in kaged.words()
        after = kaged.socket.lstat()
        assert (after.st_ino, stat.S_IFMT(after.st_mode)) == (before.st_ino, stat.S_IFMT(before.st_mode))
        kaged.socket.rmdir() if kind == "folder" else kaged.socket.unlink()


class _Unstarted(Kaged):
    """A place for a daemon; whoever enters starts it."""

    def __enter__(self) -> "Kaged":
        return self
