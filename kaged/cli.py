"""`kaged`: flags, exit codes, nothing else.

Exit codes: 0 stopped in order (fsck: no fault found), 1 fsck found faults, 2 usage or configuration, 70 a bug, 74 the
disk or the store failed, 75 another kaged has this state folder.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from kaged import config as configuration
from kaged import logs, startup
from kaged.daemon.life import Daemon
from kaged.domain.errors import AlreadyExists, Broken, Invalid, KageError, Refusal
from kaged.store.rows.keyvalue import StoreBusy
from kaged.version import __version__

EXIT_USAGE: Final = 2
EXIT_BUG: Final = 70
EXIT_IO: Final = 74
EXIT_BUSY: Final = 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["config"]:
        from kaged.policies import report  # noqa: PLC0415  it reads files and serves nothing

        return report.main(words[1:])
    arguments = _parser().parse_args(words)
    # The journal holds what agents said and did: nobody else reads a file that we make. Agents keep the umask
    # that we were started with.
    agent_umask = os.umask(0o077)
    flags = {"log_level": arguments.log_level, "log_format": arguments.log_format, "on_stop": arguments.on_stop}
    if arguments.listen:
        flags["listen"] = arguments.listen

    def read() -> configuration.Config:
        return configuration.load(
            state_dir=arguments.state_dir,
            socket=arguments.socket,
            config_file=arguments.config,
            flags=flags,
            environ=os.environ,
        )

    try:
        config = read()
        if arguments.verb != "serve":
            from kaged.offline import fsck, reindexing  # noqa: PLC0415  what a start does not need: 2 % of it

            startup.settle()
            if arguments.verb == "fsck":
                return fsck.run_fsck(config, print, as_json=arguments.json)
            return reindexing.run_reindex(config, print)
        logs.set_up(config.log_level, config.log_format, under_journal=logs.under_journal(os.environ))
        return startup.run(Daemon(config, dict(os.environ), read=read, agent_umask=agent_umask).run())
    except KageError as error:
        return _refused(error)
    except OSError as error:
        print(f"kaged: {error}", file=sys.stderr)  # noqa: T201  the last words of a daemon that cannot start
        return EXIT_IO


def _refused(error: KageError) -> int:
    hint = f" — {error.hint}" if error.hint else ""
    print(f"kaged: {error}{hint}", file=sys.stderr)  # noqa: T201
    match error:
        case AlreadyExists() | StoreBusy():
            return EXIT_BUSY
        case Invalid():
            return EXIT_USAGE
        case Broken() | Refusal():
            return EXIT_IO
        case _:
            return EXIT_BUG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kaged",
        description="The service that owns AI coding agents. Talk to it with kagectl.",
        epilog="Settings also come from kaged.toml in the state folder and from KAGED_* variables.",
    )
    parser.add_argument("--state-dir", metavar="DIR", help="where everything is kept (default ~/.local/state/kage)")
    parser.add_argument("--socket", metavar="PATH", help="the owner's socket (default in $XDG_RUNTIME_DIR/kage)")
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        action="append",
        help="also serve the owner at a loopback port, such as tcp:127.0.0.1:0 (repeatable; default: no port)",
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file (default kaged.toml in the state folder)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("auto", "plain", "json", "journal"))
    parser.add_argument(
        "--on-stop",
        choices=("auto", "keep", "stop"),
        help="what SIGTERM does with agents (default auto: stop them when systemd stops the service, else keep)",
    )
    parser.add_argument(
        "verb",
        nargs="?",
        choices=("serve", "fsck", "reindex"),
        default="serve",
        help="serve (default); fsck checks the whole store and all runs and changes nothing, also beside a daemon; "
        "while no daemon runs: reindex rebuilds everything derived from the events",
    )
    parser.add_argument("--json", action="store_true", help="what fsck found as one JSON object")
    parser.add_argument("--version", action="version", version=f"kaged {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
