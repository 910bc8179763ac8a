"""A client at a loopback port: only this machine's, and the token goes to nobody but its owner."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kagectl.client import AsyncClient, loopback
from kagectl.client.address import Address, find_address, probe
from kagectl.client.failures import ClientError, Unavailable
from kagectl.client.methods.daemon import GET_STATUS
from kaged.api.v1 import daemon_service_pb2


@contextlib.contextmanager
def listener(host: str = "127.0.0.1") -> Iterator[int]:
    """Somebody who listens; the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as line:
        line.bind((host, 0))
        line.listen()
        yield line.getsockname()[1]


def token(folder: Path) -> str:
    """A token file of ours."""
    path = folder / "owner.token"
    path.write_text("secret")
    return str(path)


def test_a_port_is_an_address_whose_token_is_in_the_state_folder(tmp_path: Path) -> None:
    env = {"KAGE_STATE_DIR": str(tmp_path), "KAGE_SOCKET": "tcp:127.0.0.1:7777", "XDG_RUNTIME_DIR": "/run/user/1"}
    found = find_address(env=env)
    assert found == Address(socket="tcp:127.0.0.1:7777", token_file=str(tmp_path / "owner.token"))
    assert found.port == ("127.0.0.1", 7777)
    assert find_address("tcp:localhost:1", env=env).socket == "tcp:127.0.0.1:1"
    assert find_address("tcp:[::1]:1", env={**env, "KAGE_TOKEN_FILE": "/t"}).token_file == "/t"
    assert find_address("/run/kaged.sock", env=env).port is None


def test_tcp_alone_is_the_port_that_kaged_wrote_down(tmp_path: Path) -> None:
    env = {"KAGE_STATE_DIR": str(tmp_path)}
    with pytest.raises(Unavailable, match="no daemon serves a port") as refused:
        find_address("tcp", env=env)
    assert "--listen" in refused.value.hint
    (tmp_path / "tcp.address").write_text("tcp:127.0.0.1:4711\ntcp:[::1]:4712\n")
    assert find_address("tcp", env=env).socket == "tcp:127.0.0.1:4711"


@pytest.mark.parametrize(
    "text", ["tcp:", "tcp:7777", "tcp:127.0.0.1:0", "tcp:127.0.0.1:70000", "tcp:10.0.0.1:1", "tcp:example.org:1"]
)
def test_a_port_of_another_machine_is_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(ClientError, match="not a port of this machine") as refused:
        find_address(text, env={"HOME": "/h"})
    assert refused.value.code == "INVALID_ARGUMENT"
    assert "ssh -L" in refused.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_port_of_the_tokens_owner_may_have_it(tmp_path: Path, host: str) -> None:
    try:
        with listener(host) as port:
            probe(Address(socket=loopback.text((host, port)), token_file=token(tmp_path)))
    except OSError as error:
        pytest.skip(f"no {host} here: {error}")


@pytest.mark.parametrize("anywhere", ["127.0.0.1", "0.0.0.0", "::"])
@pytest.mark.skipif(os.getuid() != 0 or not os.path.exists("/proc/net/tcp"), reason="gives a file away: root on Linux")
def test_a_port_of_another_user_does_not_get_the_token(tmp_path: Path, anywhere: str) -> None:
    path = token(tmp_path)
    os.chown(path, 4711, -1)
    with listener(anywhere) as port, pytest.raises(ClientError, match="the token was not sent") as refused:
        probe(Address(socket=f"tcp:127.0.0.1:{port}", token_file=path))
    assert (refused.value.reason, refused.value.code) == ("PORT_FORBIDDEN", "PERMISSION_DENIED")


def test_a_port_where_nobody_listens_is_no_daemon(tmp_path: Path) -> None:
    with listener() as port:
        pass
    with pytest.raises(Unavailable, match="nobody listens") as refused:
        probe(Address(socket=f"tcp:127.0.0.1:{port}", token_file=token(tmp_path)))
    assert "--listen" in refused.value.hint


@pytest.mark.skipif(os.getuid() != 0 or not os.path.exists("/proc/net/tcp"), reason="gives a file away: root on Linux")
async def test_a_client_that_comes_back_does_not_give_the_token_to_whoever_has_the_port_now(tmp_path: Path) -> None:
    path = token(tmp_path)
    with listener() as port:
        client = AsyncClient(Address(socket=f"tcp:127.0.0.1:{port}", token_file=path), timeout_s=20)
        os.chown(path, 4711, -1)  # as if the listener were another user's from here on
        with pytest.raises(ClientError) as refused:
            await client.call(GET_STATUS, daemon_service_pb2.GetStatusRequest(), timeout_s=1.5)
        assert refused.value.reason == "PORT_FORBIDDEN"
        await client.close()
