"""The model as systemd writes it: a user unit, a template unit with a drop-in for each person, the agents' slice.

`packaging/systemd/` holds what `packaged()` gives, and a test compares: this is the one source. Each key stands below
the reason for it. Pure; deliberately not here: where files go and what systemctl is told (`systemd.py`).
"""

import re
from collections.abc import Sequence

from kagectl.service.model import Service

USER_UNIT = "kaged.service"
TEMPLATE_UNIT = "kaged@.service"
SLICE_UNIT = "kage-agents.slice"
OLDEST = 252  # tried; 253 and 254 know more keys
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
PACKAGED_USER = Service(program=("%h/.local/bin/kaged",))
PACKAGED_SYSTEM = Service(program=("/usr/bin/kaged",))

_USER = """\
# kaged for one person, run by their own systemd (a user unit). `kagectl daemon install` writes it.
# Change nothing here: `systemctl --user edit kaged` makes a drop-in that an upgrade keeps.
[Unit]
Description=Kage, the service that owns AI coding agents
{patience}
[Service]
{talk}
ExecStart={command}
{reload}{environment}
{care}
# The daemon here, agents in kage-agents.slice below it: `systemctl --user status kage.slice` shows all.
Slice=kage.slice

{not_here}
[Install]
WantedBy=default.target
"""

_TEMPLATE = """\
# kaged for a person or a service account, run by the machine's systemd: kaged@1000 serves the user with number 1000.
# For machines where root decides what runs. It starts at boot and needs no lingering; the user's own manager is
# started with it, because agents' scopes live there. `kagectl daemon install --system` writes it.
[Unit]
Description=Kage, the service that owns AI coding agents, for user %i
# Makes /run/user/%i and the bus on which scopes are asked for.
Requires=user@%i.service
After=user@%i.service network.target
{patience}
[Service]
{talk}
# A number: the same word names the user, the runtime folder and the manager.
User=%i
Environment=XDG_RUNTIME_DIR=/run/user/%i DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/%i/bus
ExecStart={command}
{reload}WorkingDirectory=~

{care}
{not_here}
[Install]
WantedBy=multi-user.target
"""

_INSTANCE = """\
# What of kaged@ belongs to one person. `kagectl daemon install --system` writes it.
[Service]
ExecStart=
ExecStart={command}
{environment}"""

_SLICE = """\
# Where the scopes of agents live, for limits on all agents together (each agent's own limits are in its spec):
#   {edit} kage-agents.slice
[Unit]
Description=AI coding agents of Kage

[Slice]
# Example: leave something of the machine to its owner.
#MemoryHigh=75%
#CPUWeight=50
#TasksMax=8192
"""

_NEWER = """\
# A drop-in for systemd 254 and newer: ~/.config/systemd/user/kaged.service.d/systemd-254.conf (older ones would ignore
# these keys with a warning, or not know the type at all). For packages, whose units have to fit all of them:
# `kagectl daemon install` asks systemd for its version and writes the unit accordingly.
[Service]
# `systemctl reload` returns when the configuration was read again (kaged answers with RELOADING and READY).
Type=notify-reload
ExecReload=
# Start again at once, and slower each time that does not help: 0.1 s to 30 s in 8 steps.
{again}
"""

_PATIENCE = """\
# Never give up on it: agents wait for their daemon. (In [Service] this key would silently do nothing.)
StartLimitIntervalSec=0
"""

_TALK = """\
# READY comes once every agent is adopted and the doors are open; only the daemon itself may speak.
Type={type}
NotifyAccess=main"""

_RELOAD = """\
ExecReload=/bin/kill -HUP $MAINPID
"""

_CARE = """\
# Agents are not the daemon's to take along: whatever ends it, systemd signals it alone, and the next one adopts them.
# On a stop (not on a restart) kaged ends them itself, in order: docs/service.md, "What a stop does".
KillMode=process
# An agent without a scope of its own that runs out of memory is that agent's matter.
OOMPolicy=continue
ManagedOOMPreference=avoid

# `kagectl daemon stop` and `systemctl stop` stick; a crash, a kill and the watchdog do not.
Restart=on-failure
{again}
# 2: the configuration is wrong; 75: another kaged has this state folder. Trying again cures neither.
RestartPreventExitStatus={never_again}

# Recovery and stopping ask for more time as long as they make progress; these are for when they make none.
TimeoutStartSec={start_s}
TimeoutStopSec={stop_s}
# kaged pings twice in this time, each time after a write that reached the disk. What hangs is aborted, with the place
# where each thread stood in the log, and started again; agents do not notice.
WatchdogSec={watchdog_s}
TimeoutAbortSec={abort_s}
# What is aborted holds secrets: no core. A soft limit: an agent may raise its own.
LimitCORE=0:infinity
LimitNOFILE={open_files}
TasksMax=infinity
"""

_AGAIN = "RestartSec={restart_s}"
_AGAIN_254 = """\
RestartSec=100ms
RestartSteps=8
RestartMaxDelaySec=30s"""

_NOT_HERE = """\
# Not here, because agents would inherit it: sandbox keys (hardening.conf is a drop-in for those who want them), UMask=
# (kaged makes its own files 0600 itself), and OOMScoreAdjust= (agents would outlive what is innocent).
"""

_ENVIRONMENT = """\
# A service has a bare environment, and agents get the daemon's: this is that of whoever installed it.
"""


def user_unit(service: Service, *, systemd: int = OLDEST) -> str:
    """kaged.service: for one person, run by their own systemd. `systemd`: its version."""
    return _USER.format(**_parts(service, systemd), environment=_environment(service))


def template_unit(service: Service, *, systemd: int = OLDEST) -> str:
    """kaged@.service. What belongs to one person (program, environment) is in `instance`: two can share this."""
    return _TEMPLATE.format(**_parts(service, systemd))


def instance(service: Service) -> str:
    """The drop-in of kaged@<number>.service: what belongs to that person."""
    return _INSTANCE.format(command=command_line(service.program), environment=_environment(service))


def agents_slice(*, user: bool = True) -> str:
    """kage-agents.slice: where the scopes of agents live."""
    return _SLICE.format(edit="systemctl --user edit" if user else "systemctl edit")


def packaged() -> dict[str, str]:
    """File names in packaging/systemd and what they hold (hardening.conf is written by hand)."""
    return {
        USER_UNIT: user_unit(PACKAGED_USER),
        TEMPLATE_UNIT: template_unit(PACKAGED_SYSTEM),
        SLICE_UNIT: agents_slice(),
        "systemd-254.conf": _NEWER.format(again=_AGAIN_254),
    }


def quoted(word: str, *, command: bool = False) -> str:
    """One word of `Environment=` or, with `command`, of `ExecStart=`, such that systemd reads it back as it was."""
    escaped = word.replace("%", "%%")
    if command:
        escaped = escaped.replace("$", "$$")
    if _PLAIN.fullmatch(word):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def command_line(program: Sequence[str]) -> str:
    """`ExecStart=` of a command. In its first word systemd replaces no variables, `%h/` (the home) stays, and quotes
    and backslashes are refused: then a shell becomes the program (the process stays the same one)."""
    first, rest = program[0], program[1:]
    if any(mark in first for mark in "\"'\\"):
        first, rest = "/bin/sh", ("-c", 'exec "$0" "$@"', *program)
    path = first if first.startswith("%h/") and _PLAIN.fullmatch(first[2:]) else quoted(first)
    return " ".join([path, *(quoted(word, command=True) for word in rest)])


def _environment(service: Service) -> str:
    keys = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in service.environment.items()]
    return "".join([_ENVIRONMENT, *keys]) if keys else ""


def _parts(service: Service, systemd: int) -> dict[str, str]:
    """What user unit and template have in common."""
    limits = service.limits
    return {
        "patience": _PATIENCE,
        "talk": _TALK.format(type="notify-reload" if systemd >= 253 else "notify"),
        "command": command_line(service.program),
        "reload": "" if systemd >= 253 else _RELOAD,
        "care": _CARE.format(
            again=_AGAIN_254 if systemd >= 254 else _AGAIN.format(restart_s=limits.restart_s),
            never_again=" ".join(map(str, limits.never_again)),
            start_s=limits.start_s,
            stop_s=limits.stop_s,
            watchdog_s=limits.watchdog_s,
            abort_s=limits.abort_s,
            open_files=limits.open_files,
        ),
        "not_here": _NOT_HERE,
    }
