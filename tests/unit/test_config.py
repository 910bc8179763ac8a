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
