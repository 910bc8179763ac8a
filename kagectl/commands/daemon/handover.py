"""From one keeper to another: the daemon of a service is started or ended, and one that was started by hand makes room.

Agents go on through all of it unless somebody asks otherwise.
"""

import os
from collections.abc import Mapping

from kagectl.client.address import Address, find_address
from kagectl.client.failures import ClientError, Unavailable
from kagectl.commands.daemon.waiting import STOP_S, end_daemon, status_now, wait_gone, wait_serving
from kagectl.service.machine import Facts, ServiceManager, obey
from kagectl.service.steps import Done, do
from kagectl.service.systemd import PLACES, Systemd
from kaged.api.v1 import daemon_service_pb2 as pb


def door_of(facts: Facts, manager: ServiceManager, environment: Mapping[str, str]) -> Address:
    """Where the daemon of such a service listens: as that finds it, whatever our own environment says."""
    env = dict(environ_of(facts)) | {"HOME": facts.person.home}
    if isinstance(manager, Systemd) and facts.runtime_dir:
        env["XDG_RUNTIME_DIR"] = facts.runtime_dir
    for name in PLACES:
        env.pop(name, None)
    return find_address(env=env | {name: environment[name] for name in PLACES if environment.get(name)})


def stranger(facts: Facts, manager: ServiceManager, address: Address) -> pb.DaemonStatus | None:
    """A daemon in the same place that is not the manager's."""
    if facts.person.uid != os.getuid():
        return None
    try:
        running = status_now(address)
    except ClientError:
        return None
    if running is None or running.pid == manager.state(facts.manager_environ).pid:
        return None
    return running


def start_under(done: list[Done], facts: Facts, manager: ServiceManager, address: Address) -> list[str]:
    """Start the service's daemon and wait until it serves. `done` gets what happened; returns what to tell."""
    if manager.state(facts.manager_environ).pid:
        return ["it runs; kagectl daemon restart makes it use what changed, and agents go on"]
    found = stranger(facts, manager, address)
    if found is not None:
        end_daemon(address, found.pid)
        done.append(Done(word="ended", what=f"kaged that was started by hand (pid {found.pid}); agents go on"))
    done += obey(facts, manager, manager.start())
    if facts.person.uid == os.getuid() or os.geteuid() == 0:
        status = wait_serving(address, within_s=STOP_S)
        return [f"kaged {status.version} serves: pid {status.pid}, socket {status.socket}"]
    return []


def end_under(done: list[Done], facts: Facts, manager: ServiceManager, *, stop_agents: bool) -> None:
    """End the manager's daemon in order; agents go on unless told otherwise."""
    state = manager.state(facts.manager_environ)
    pid = state.pid
    if not pid:
        return
    try:
        answer = end_daemon(door_of(facts, manager, state.environment), pid, stop_agents=stop_agents)
        count = answer.agents_stopping if stop_agents else answer.agents_kept
        fate = "stopped" if stop_agents else "goes on" if count == 1 else "go on"
        words = f"{count} agent{'s' * (count != 1)} {fate}"
        done.append(Done(word="ended", what=f"kaged (pid {pid}); {words}"))
    except Unavailable:
        if stop_agents:
            raise
        done += [do(step, facts.manager_environ) for step in manager.signal_to_end()]
        wait_gone(pid, STOP_S)


def environ_of(facts: Facts) -> Mapping[str, str]:
    """What counts for the person that it is for: ours, or next to nothing when that is somebody else."""
    if facts.person.uid == os.getuid():
        return facts.environ
    return {"HOME": facts.person.home, "PATH": facts.environ.get("PATH", "")}
