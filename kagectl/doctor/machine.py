"""What the machine gives: limits that hold, files and watches enough, a clock that goes forward, a Python."""

import platform
import sys

from kagectl.doctor.asking import ask
from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn
from kagectl.render import words

if sys.platform != "win32":
    import resource

_NEEDS_CGROUPS = {"memory_bytes": "memory", "cpus": "cpu", "processes": "pids"}
_FEW_FILES = 4096
_FEW_WATCHES = 8192
_FEW_INSTANCES = 128
_BEHIND_S = 2.0
_OLDEST_S = 1_735_689_600  # 2025: no release of Kage is older
OLDEST_PYTHON = (3, 11)


def limits(scene: Scene) -> Verdict:
    """Limits of memory, processors and processes can be held: by the kernel, for each agent."""
    if not scene.linux:
        return skip(f"{scene.platform} has no control groups; limits of time, silence and output hold everywhere")
    if scene.status is None:
        return skip("a running daemon tells what it was given", "kagectl daemon start")
    missing = [name for limit, name in _NEEDS_CGROUPS.items() if limit not in scene.status.enforced_limits]
    if not missing:
        return ok("memory, cpus and processes of an agent are held by the kernel")
    if not scene.status.scopes:
        return warn(
            "agents have no control groups: limits of memory, cpus and processes are refused",
            "run kaged under systemd: kagectl daemon install",
        )
    unit = f"user@{scene.uid}.service"
    return warn(
        f"systemd does not hand on {', '.join(missing)}: such limits are refused",
        f"sudo systemctl edit {unit}   # [Service] Delegate=cpu memory pids; then log in again",
    )


def open_files(scene: Scene) -> Verdict:
    """The daemon may have a few files open for each agent."""
    if scene.status is not None:
        found, whose = scene.status.open_files_limit, "kaged"
    elif sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        found, whose = (0 if soft == resource.RLIM_INFINITY else soft), "this shell"
    else:
        return skip("not on Windows")
    if 0 < found < _FEW_FILES:
        return warn(
            f"{whose} may have {found} files open: enough for some {max(1, (found - 200) // 8)} agents",
            "kagectl daemon install (its unit asks for more), or ulimit -n 65536 before kaged",
        )
    return ok(f"{whose} may have {found or 'any number of'} files open")


def inotify(scene: Scene) -> Verdict:
    """The kernel has watches left: without them kaged looks at each run by itself, which costs."""
    if not scene.linux:
        return skip(f"not on {scene.platform}")
    watches = scene.read("proc/sys/fs/inotify/max_user_watches").strip()
    instances = scene.read("proc/sys/fs/inotify/max_user_instances").strip()
    if not watches.isdigit() or not instances.isdigit():
        return skip("the kernel does not tell")
    if int(watches) < _FEW_WATCHES:
        return warn(f"{watches} watches for a user's programs", "sudo sysctl fs.inotify.max_user_watches=524288")
    if int(instances) < _FEW_INSTANCES:
        return warn(f"{instances} watchers for a user's programs", "sudo sysctl fs.inotify.max_user_instances=1024")
    return ok(f"{watches} watches, {instances} watchers")


def clock(scene: Scene) -> Verdict:
    """The clock is in this decade, not behind the journal, and somebody keeps it right."""
    if scene.now_s < _OLDEST_S:
        return fail("the clock of this machine stands before 2025", "sudo timedatectl set-ntp true")
    status = scene.status
    if status is not None and status.HasField("newest_event_time"):
        newest_s = status.newest_event_time.seconds + status.newest_event_time.nanos / 1e9
        ahead_s = newest_s - scene.now_s
        if ahead_s > _BEHIND_S:
            return warn(
                f"the clock is {words.span(ahead_s)} behind the newest event: it was turned back, "
                "and events get that time until it is caught up",
                "timedatectl; is the clock right now?",
            )
    if scene.linux:
        said = ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"], scene.env, timeout_s=3.0)
        if said.code == 0 and said.text.strip() == "no":
            return warn("nothing keeps the clock of this machine right", "sudo timedatectl set-ntp true")
    return ok("not behind the journal" if status is not None else "plausible")


def python(scene: Scene) -> Verdict:
    """The Pythons that run kagectl and kaged are new enough."""
    ours = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return fail(f"this Python is {ours}", "install Kage with Python 3.11 or newer")
    theirs = scene.status.python_version if scene.status is not None else ""
    if theirs and theirs.split(".")[:2] != ours.split(".")[:2]:
        return ok(f"kagectl runs on Python {ours}, kaged on {theirs}")
    return ok(f"Python {theirs or ours}")
