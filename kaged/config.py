"""One frozen Config from flags, environment and defaults. Read once, handed to whoever needs it.

Order: flag, environment (`KAGED_...`), config file (`kaged.toml` in the state folder or `--config`), default.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from kaged.domain.errors import Invalid
from kaged.domain.frozen import frozen
from kaged.domain.notice import Notifying
from kaged.domain.places import LoopbackPlace, parse_place
from kaged.domain.quantities import parse_duration_limit_us
from kaged.domain.spec import MIN_SPOOL_BYTES

MAX_SOCKET_BYTES: Final = 103 if sys.platform == "darwin" else 107  # sun_path without its closing NUL
_BASE_ENV: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR")


@frozen
class Config:
    """What the daemon may be told. Times are seconds, sizes bytes."""

    state_dir: Path
    socket: Path
    agent_socket: Path
    listen: tuple[LoopbackPlace, ...] = ()  # beside the Unix socket, which is always there
    log_level: str = "info"
    log_format: str = "auto"
    max_subscribers: int = 1000
    max_agents: int = 0
    max_agents_per_namespace: int = 0
    unsupervised_s: float = 900
    min_free_bytes: int = 64 << 20
    spool_bytes: int = 1 << 30
    max_spool_bytes: int = 8 << 30
    on_stop: str = "auto"
    keep_output_s: float = 0.0
    share_with_group: str = ""  # its members are the owner
    notify: Notifying = Notifying()

    @property
    def runs_dir(self) -> Path:
        """Folders of runs."""
        return self.state_dir / "runs"

    @property
    def lock_file(self) -> Path:
        """Held while a daemon lives."""
        return self.state_dir / "lock"

    @property
    def tcp_file(self) -> Path:
        """Tells clients the loopback addresses that are served, one a line; there only while one is."""
        return self.state_dir / "tcp.address"


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where state lives when nobody says."""
    if given := environ.get("KAGE_STATE_DIR"):
        return Path(given)
    home = Path(environ.get("HOME") or "/root")
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "kage"


def default_socket(environ: Mapping[str, str], state_dir: Path) -> Path:
    """Where the owner's socket is when nobody says: the same rule as kagectl's."""
    if given := _told_socket(environ):
        return Path(given)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "kage" / "kaged.sock"
    return state_dir / "run" / "kaged.sock"


def _told_socket(environ: Mapping[str, str]) -> str:
    """What KAGE_SOCKET says of the Unix socket: nothing when it tells clients to come by TCP."""
    given = environ.get("KAGE_SOCKET", "")
    return "" if given == "tcp" or given.startswith("tcp:") else given.removeprefix("unix:")


def load(
    *,
    state_dir: str | None,
    socket: str | None,
    config_file: str | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
) -> Config:
    """The configuration. Raises Invalid naming file and key."""
    state = Path(state_dir).absolute() if state_dir else default_state_dir(environ).absolute()
    path = Path(config_file) if config_file else state / "kaged.toml"
    values = _file(path, required=config_file is not None)
    both = {"socket", "listen"} <= values.keys()
    values.update(_environment(environ))
    values.update({key: value for key, value in flags.items() if value is not None})
    field = "--listen" if "listen" in flags else "KAGED_LISTEN" if "KAGED_LISTEN" in environ else f"{path}: listen"
    listen, doors = _listen(values.pop("listen", ()), field)
    told = str(values.pop("socket", "")).removeprefix("unix:")
    if both and listen and told != listen and field.endswith(": listen"):
        raise Invalid((field, f"names {listen}, and `socket` {told}"), hint="leave one of the two out")
    told = listen or told
    if socket and socket.startswith("tcp:"):
        raise Invalid(("socket", f"{socket!r} is not a path"), hint=f"a port is opened with --listen {socket}")
    place = Path(socket.removeprefix("unix:")).absolute() if socket else default_socket(environ, state).absolute()
    if told and not socket and not _told_socket(environ):
        place = Path(told).absolute()
    config = Config(state_dir=state, socket=place, agent_socket=place.with_name("agents.sock"), listen=doors)
    config = _with(config, values, path)
    for item in (config.socket, config.agent_socket):
        size = len(os.fsencode(item))
        if size > MAX_SOCKET_BYTES:
            raise Invalid(
                ("socket", f"{item} has {size} bytes; a socket path has at most {MAX_SOCKET_BYTES}"),
                hint="choose a shorter one with --socket",
            )
    return config


def _file(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    import tomllib  # noqa: PLC0415  2 % of a start, and most have no such file

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise Invalid(("config", f"{path} does not exist")) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(("config", f"{path}: {error}")) from None


def _listen(value: object, field: str) -> tuple[str, tuple[LoopbackPlace, ...]]:
    """The Unix socket that `listen` names, or nothing, and the loopback ports."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Invalid((field, "must be a list of texts"), hint='such as ["tcp:127.0.0.1:0"]')
    unix, ports = "", list[LoopbackPlace]()
    for text in filter(None, map(str.strip, texts)):
        found = parse_place(text, field=field)
        if isinstance(found, LoopbackPlace):
            if found in ports:
                raise Invalid((field, f"names {text!r} twice"))
            ports.append(found)
        elif unix:
            raise Invalid((field, "names two Unix sockets; the owner's door has one"))
        else:
            unix = found.path
    return unix, tuple(ports)


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {item.name for item in fields(Config)} - {"state_dir", "socket"}
    return {name: environ[key] for name in known if (key := f"KAGED_{name.upper()}") in environ}


def _with(config: Config, values: Mapping[str, Any], path: Path) -> Config:
    changes: dict[str, Any] = {}
    for key, value in values.items():
        match key:
            case "log_level" if str(value).lower() in ("debug", "info", "warning", "error"):
                changes[key] = str(value).lower()
            case "log_format" if value in ("auto", "plain", "json", "journal"):
                changes[key] = value
            case "on_stop" if value in ("auto", "keep", "stop"):
                changes[key] = value
            case "max_subscribers" | "min_free_bytes" | "max_agents" | "max_agents_per_namespace" if str(
                value
            ).isdigit():
                changes[key] = int(value)
            case "spool_bytes" | "max_spool_bytes" if str(value).isdigit():
                if 0 < int(value) < MIN_SPOOL_BYTES:
                    raise Invalid((f"{path}: {key}", f"is less than {MIN_SPOOL_BYTES}"), hint="0 is no limit")
                changes[key] = int(value)
            case "unsupervised_s" | "unsupervised_max":
                limit = parse_duration_limit_us(str(value), path=f"{path}: {key}")
                changes["unsupervised_s"] = 0.0 if limit is None else limit / 1e6
            case "keep_output_s" | "keep_output":
                limit = parse_duration_limit_us(str(value), path=f"{path}: {key}")
                changes["keep_output_s"] = 0.0 if limit is None else limit / 1e6
            case "share_with_group" if isinstance(value, str):
                changes[key] = value
            case "notify":
                from kaged.domain.notify_table import parse_notifying  # noqa: PLC0415  10 ms of a start, for few

                changes[key] = parse_notifying(value, f"{path}: notify")
            case "agent_socket":
                changes[key] = Path(str(value)).absolute()
            case _ if key in {item.name for item in fields(Config)}:
                raise Invalid((f"{path}: {key}", f"{value!r} is not a value of it"))
            case _:
                raise Invalid((f"{path}: {key}", "is not a key"), hint="docs/configuration.md lists them")
    return replace(config, **changes)


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every agent gets of the daemon's own environment: never gRPC's or the service manager's variables."""
    return {name: environ[name] for name in _BASE_ENV if name in environ}
