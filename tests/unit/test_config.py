"""Where a setting comes from: flag, then environment, then file, then default."""

from pathlib import Path

import pytest

from kaged.config import Config, load
from kaged.domain.errors import Invalid


def loaded(folder: Path, text: str = "", *, socket: str | None = None, **environ: str) -> Config:
    """A configuration from a file's text and an environment."""
    (folder / "kaged.toml").write_text(text)
    return load(state_dir=str(folder), socket=socket, config_file=None, flags={}, environ=environ)


def test_a_flag_stands_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = 'socket = "/s/file"\nmax_subscribers = 7\n'
    assert loaded(tmp_path, text).socket == Path("/s/file")
    assert loaded(tmp_path, text, KAGE_SOCKET="/s/environment").socket == Path("/s/environment")
    assert loaded(tmp_path, text, KAGE_SOCKET="/s/environment", socket="/s/flag").socket == Path("/s/flag")
    assert loaded(tmp_path, text).max_subscribers == 7
    assert loaded(tmp_path, text, KAGED_MAX_SUBSCRIBERS="9").max_subscribers == 9


def test_the_agents_socket_is_beside_the_owners_unless_it_is_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, socket="/s/kaged.sock").agent_socket == Path("/s/agents.sock")
    assert loaded(tmp_path, KAGED_AGENT_SOCKET="/s/other").agent_socket == Path("/s/other")


@pytest.mark.parametrize("text", ["nonsense = 1", 'log_level = "loud"', "max_subscribers = -1", "this is no TOML"])
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match=r"kaged\.toml"):
        loaded(tmp_path, text)


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_bound(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at most 107"):
        loaded(tmp_path, socket="/" + "s" * 120)


def test_listen_opens_loopback_ports_beside_the_socket_and_may_name_the_socket(tmp_path: Path) -> None:
    assert loaded(tmp_path).listen == ()
    config = loaded(tmp_path, 'listen = ["unix:/s/kaged.sock", "tcp:127.0.0.1:0", "tcp:[::1]:7777"]')
    assert config.socket == Path("/s/kaged.sock")
    assert [str(port) for port in config.listen] == ["tcp:127.0.0.1:0", "tcp:[::1]:7777"]
    told = loaded(tmp_path, 'listen = ["tcp:127.0.0.1:1"]', KAGED_LISTEN="tcp:127.0.0.1:2, tcp:127.0.0.1:3")
    assert [port.port for port in told.listen] == [2, 3]


def test_a_client_that_comes_by_tcp_does_not_move_the_daemons_socket(tmp_path: Path) -> None:
    assert loaded(tmp_path, KAGE_SOCKET="tcp:127.0.0.1:7777").socket == tmp_path / "run" / "kaged.sock"
    with pytest.raises(Invalid, match="not a path") as refused:
        loaded(tmp_path, socket="tcp:127.0.0.1:7777")
    assert "--listen" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('listen = ["tcp:0.0.0.0:7777"]', "loopback"),
        ('listen = ["unix:/a", "unix:/b"]', "two Unix sockets"),
        ('listen = ["tcp:127.0.0.1:1", "tcp:127.0.0.1:1"]', "twice"),
        ("listen = 7777", "list of texts"),
        ("listen = [7777]", "list of texts"),
        ('socket = "/a"\nlisten = ["unix:/b"]', "`socket` /a"),
    ],
)
def test_a_place_that_cannot_be_served_is_named_with_its_file(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(Invalid, match=r"kaged\.toml: listen") as refused:
        loaded(tmp_path, text)
    assert word in str(refused.value)
