"""The loopback door: off unless asked for, the owner's alone, and silent to everybody without the token."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kagectl.client import Address, AsyncClient, Client
from kagectl.client.methods.daemon import GET_STATUS
from kagectl.client.methods.events import GET_HEAD
from kagectl.client.quick import QuickClient
from kaged.api.v1 import daemon_service_pb2 as daemon_pb
from kaged.api.v1 import event_service_pb2 as pb
from tests.e2e.daemon_kit import DEADLINE_S, Kaged
from tests.e2e.test_api_errors import METHODS, _name

pytestmark = pytest.mark.e2e
ANY = "tcp:127.0.0.1:0"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaged]:
    with Kaged(tmp_path_factory.mktemp("tcp"), flags=["--listen", ANY]) as kaged:
        yield kaged


def port_of(kaged: Kaged) -> str:
    """`127.0.0.1:PORT`, as the status tells it."""
    status = kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status
    assert status.listen[0] == f"unix:{kaged.socket}"
    return status.listen[1].removeprefix("tcp:")


def ask(port: str, path: str, token: str | None) -> list[bytes]:
    """One call with an empty request."""
    metadata = [("authorization", token)] if token is not None else []
    with grpc.insecure_channel(port, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return list(channel.unary_stream(path)(b"", timeout=DEADLINE_S, metadata=metadata))


def ctl(kaged: Kaged, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """kagectl with nothing but the state folder to go by."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KAGE", "XDG_"))}
    env |= {"KAGE_STATE_DIR": str(kaged.state), **environ}
    command = [sys.executable, "-m", "kagectl", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_no_port_is_open_unless_the_configuration_says_so(tmp_path: Path) -> None:
    with Kaged(tmp_path) as kaged:
        status = kaged.daemon.GetStatus(daemon_pb.GetStatusRequest(), timeout=DEADLINE_S).status
        assert list(status.listen) == [f"unix:{kaged.socket}"]
        assert not (kaged.state / "tcp.address").exists()
        assert kaged.process is not None
        inodes = {os.readlink(fd) for fd in Path(f"/proc/{kaged.process.pid}/fd").iterdir() if _is_link(fd)}
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(FileNotFoundError):
                for line in Path(table).read_text().splitlines()[1:]:
                    assert f"socket:[{line.split()[9]}]" not in inodes, line


def _is_link(fd: Path) -> bool:
    try:
        return bool(os.readlink(fd))
    except OSError:
        return False


@pytest.mark.parametrize("path", [HEALTH, REFLECTION, "/kaged.api.v1.Nope/Nope", "/"] + [
    f"/kaged.api.v1.{_name(method)}" for method in METHODS
])  # fmt: skip
def test_nothing_is_answered_without_the_owners_token(served: Kaged, path: str) -> None:
    port = port_of(served)
    for token in (None, "", "Bearer ", "Bearer " + "0" * 64, served.token, "bearer " + served.token):
        with pytest.raises(grpc.RpcError) as refused:
            ask(port, path, token)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, (token, refused.value)
        assert str(served.state) not in str(refused.value.trailing_metadata()), "who may be anybody learns no paths"


def test_an_agents_token_is_worth_nothing_at_the_owners_port(served: Kaged) -> None:
    agent = served.spawn("sleep", "1000")
    served.wait_state(agent, 3)
    token = (served.state / "runs" / served.agent(agent).run.id / "token").read_text()
    for method in METHODS:
        with pytest.raises(grpc.RpcError) as refused:
            ask(port_of(served), f"/kaged.api.v1.{_name(method)}", f"Bearer {token}")
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    served.end(agent)


def test_the_owner_is_served_as_at_the_socket_health_and_reflection_too(served: Kaged) -> None:
    port = port_of(served)
    for path in (HEALTH, "/kaged.api.v1.DaemonService/GetStatus"):
        assert ask(port, path, f"Bearer {served.token}")
    with pytest.raises(grpc.RpcError) as refused:
        ask(port, "/kaged.api.v1.Nope/Nope", f"Bearer {served.token}")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_the_port_is_written_where_only_the_owner_reads_it_and_goes_with_the_daemon(tmp_path: Path) -> None:
    with Kaged(tmp_path, flags=["--listen", ANY]) as kaged:
        file = kaged.state / "tcp.address"
        assert oct(file.stat().st_mode & 0o777) == oct(0o600)
        assert file.read_text() == f"tcp:{port_of(kaged)}\n"
        first = file.read_text()
        kaged.kill()
        assert file.exists(), "a killed daemon cleans nothing up"
        kaged.start()
        assert file.read_text() == f"tcp:{port_of(kaged)}\n"
        assert first
        kaged.stop()
        assert not file.exists()


async def test_all_clients_come_by_tcp(served: Kaged) -> None:
    address = Address(socket=f"tcp:{port_of(served)}", token_file=str(served.state / "owner.token"))
    with Client(address) as client:
        assert client.call(GET_STATUS, daemon_pb.GetStatusRequest()).status.pid
    with QuickClient(address) as quick:
        assert quick.call(GET_STATUS, daemon_pb.GetStatusRequest()).status.pid
        assert quick._full is None, "the short way was taken"
    async with AsyncClient(address) as client:
        seq = await client.append("notes/tcp", "note.made", b"{}")
        assert (await client.call(GET_HEAD, pb.GetHeadRequest())).head_seq >= seq


def test_kagectl_comes_by_tcp_whatever_proxy_the_environment_names(served: Kaged) -> None:
    port = port_of(served)
    for words, environ in (
        (("--socket", f"tcp:{port}"), {}),
        (("--socket", "tcp"), {}),
        ((), {"KAGE_SOCKET": f"tcp:{port}"}),
        (
            (),
            {
                "KAGE_SOCKET": "tcp",
                "KAGE_GRPC": "1",
                "http_proxy": "http://127.0.0.1:9",
                "https_proxy": "http://127.0.0.1:9",
            },
        ),
    ):
        done = ctl(served, "daemon", "status", *words, **environ)
        assert done.returncode == 0, (words, environ, done.stderr)
        assert str(served.state) in done.stdout
    done = ctl(served, "run", "--socket", "tcp", "--", "sh", "-c", "echo hi; exit 3")
    assert (done.returncode, done.stdout) == (3, "hi\n"), done.stderr


def test_kagectl_with_a_wrong_token_is_refused_in_words(served: Kaged, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    done = ctl(served, "ps", "--socket", "tcp", KAGE_TOKEN_FILE=str(wrong))
    assert done.returncode == 5
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["tcp:0.0.0.0:0", "tcp:[::]:0", "tcp:192.168.0.1:0", "tcp:example.org:0"])
def test_a_start_that_would_serve_a_network_is_refused_with_what_to_do(tmp_path: Path, place: str) -> None:
    kaged = Kaged(tmp_path, flags=["--listen", place])
    kaged.launch()
    assert kaged.exit_code() == 2
    assert "127.0.0.1" in kaged.words()
    assert "Traceback" not in kaged.words()
    assert not kaged.state.exists(), "nothing was made"


def test_a_start_at_a_port_that_is_taken_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = f"tcp:127.0.0.1:{other.getsockname()[1]}"
        with contextlib.ExitStack() as leaving:
            kaged = Kaged(tmp_path, flags=["--listen", place])
            leaving.push(kaged)
            kaged.launch()
            assert kaged.exit_code() == 75
            assert f"another program listens at {place}" in kaged.words()
            assert "Traceback" not in kaged.words()
            assert not kaged.socket.exists()
            assert not (kaged.state / "tcp.address").exists()
