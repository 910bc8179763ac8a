"""The model as launchd writes it: a LaunchAgent of a person, or a LaunchDaemon that root installed for one.

`packaging/launchd/` holds what `packaged()` gives, and a test compares. plistlib reads these texts but does not write
them: it has no comments, and each key needs its reason. Pure; deliberately not here: launchctl (`launchd.py`).

Not in these files, on purpose: Umask (agents would inherit it; kaged makes its own files 0600 itself), Sockets (grpcio
cannot take them over), a watchdog (launchd has none).
"""

from collections.abc import Mapping, Sequence
from html import escape

from kagectl.service.model import Service

LABEL = "dev.kage.kaged"
OPEN_FILES = 8192  # the kernel takes no more than kern.maxfilesperproc, and 10240 on every release

Value = str | int | bool | Sequence[str] | Mapping[str, "str | int | bool"]
Item = tuple[str, str, Value]  # why, key, value

PACKAGED = Service(
    program=("/usr/local/bin/kaged",),
    environment={"PATH": "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
    user="you",
    home="/Users/you",
    log="/Users/you/.local/state/kage/kaged.log",
)


def daemon_label(user: str) -> str:
    """Of the LaunchDaemon of one person: several may share a machine."""
    return f"{LABEL}.{user}"


def _job(service: Service) -> list[Item]:
    limits = service.limits
    return [
        ("What is started: absolute, launchd has no PATH to look in.", "ProgramArguments", service.program),
        (
            "launchd gives a bare environment, and agents get the daemon's: this is that of whoever installed it.",
            "EnvironmentVariables",
            dict(service.environment) | {"HOME": service.home},
        ),
        ("", "WorkingDirectory", service.home),
        ("When it is loaded: at login (agent) or at boot (daemon).", "RunAtLoad", True),
        (
            "Again after a crash or a kill; `kagectl daemon stop` (exit code 0) sticks. Plain true would undo it.",
            "KeepAlive",
            {"SuccessfulExit": False},
        ),
        (
            "Seconds between two starts: only for one that dies at once, with a wrong configuration, say.",
            "ThrottleInterval",
            10,
        ),
        (
            "Seconds from SIGTERM to SIGKILL. The default is 20; kaged may stop agents for 25.",
            "ExitTimeOut",
            limits.stop_s,
        ),
        (
            "launchd ends what is left of the job's process group; agents are to live.",
            "AbandonProcessGroup",
            True,
        ),
        (
            "The default throttles CPU and disk, and agents inherit that.",
            "ProcessType",
            "Interactive",
        ),
        (
            "The default is 256. Soft: an agent may raise its own.",
            "SoftResourceLimits",
            {"NumberOfFiles": min(limits.open_files, OPEN_FILES), "Core": 0},
        ),
        ("One file for all it says; launchd appends and never rotates.", "StandardOutPath", service.log),
        ("", "StandardErrorPath", service.log),
    ]


def agent(service: Service) -> str:
    """A LaunchAgent: ~/Library/LaunchAgents/dev.kage.kaged.plist."""
    return _written(
        "kaged for one person, run by launchd from their login on.",
        [
            ("The file has the same name.", "Label", LABEL),
            (
                "In a session with a screen, and in one without (ssh).",
                "LimitLoadToSessionType",
                ("Aqua", "Background"),
            ),
            *_job(service),
        ],
    )


def daemon(service: Service) -> str:
    """A LaunchDaemon: /Library/LaunchDaemons/dev.kage.kaged.<user>.plist, of root and not writable for others."""
    return _written(
        "kaged for one person, run by launchd from boot on, also without a login; so it cannot use their keychain.",
        [
            ("The file has the same name.", "Label", daemon_label(service.user)),
            ("Whom it serves. Never root.", "UserName", service.user),
            *_job(service),
        ],
    )


def packaged() -> dict[str, str]:
    """File names in packaging/launchd and what they hold."""
    return {
        f"LaunchAgents/{LABEL}.plist": agent(PACKAGED),
        f"LaunchDaemons/{daemon_label(PACKAGED.user)}.plist": daemon(PACKAGED),
    }


def _written(head: str, items: Sequence[Item]) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
        *_comment(head, ""),
        '<plist version="1.0">',
        "<dict>",
    ]
    for why, key, value in items:
        lines += [*_comment(why, "  "), f"  <key>{escape(key, quote=False)}</key>", *_value(value, "  ")]
    return "\n".join([*lines, "</dict>", "</plist>"]) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    if not text:
        return []
    return [f"{indent}<!-- {text} -->"]


def _value(value: Value, indent: str) -> list[str]:
    match value:
        case bool():
            return [f"{indent}<{'true' if value else 'false'}/>"]
        case int():
            return [f"{indent}<integer>{value}</integer>"]
        case str():
            return [f"{indent}<string>{escape(value, quote=False)}</string>"]
        case Mapping():
            inner = [
                line
                for key, item in value.items()
                for line in (f"{indent}  <key>{escape(key, quote=False)}</key>", *_value(item, f"{indent}  "))
            ]
            return [f"{indent}<dict>", *inner, f"{indent}</dict>"]
        case _:
            lines = [line for item in value for line in _value(item, f"{indent}  ")]
            return [f"{indent}<array>", *lines, f"{indent}</array>"]
