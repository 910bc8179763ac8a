"""What `kagectl doctor` says about machines of all kinds: one line, one fix, never a traceback, never a hang."""

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kagectl.client.address import Address
from kagectl.client.failures import ClientError, Unavailable
from kagectl.doctor import asking, daemon, disk, machine, places, programs, service
from kagectl.doctor.examine import examine, failed
from kagectl.doctor.registry import CHECKS, Check
from kagectl.doctor.report import report
from kagectl.doctor.scene import Scene, look
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn
from kagectl.service.model import Service
from kagectl.service.seal import sealed
from kagectl.service.units import user_unit
from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.version import __version__

NOW_S = 1_790_000_000.0


def scene(folder: Path, status: pb.DaemonStatus | None = None, **env: str) -> Scene:
    """A machine whose state folder is `folder/state`, and whose /proc is empty."""
    return Scene(
        env={"PATH": "/usr/bin:/bin", **env},
        uid=os.getuid(),
        platform="linux",
        state_dir=folder / "state",
        address=Address(socket=str(folder / "run" / "kaged.sock"), token_file=str(folder / "run" / "owner.token")),
        status=status,
        silence=None if status is not None else Unavailable("no daemon is running", hint="kagectl daemon start"),
        now_s=NOW_S,
        root=folder / "root",
    )


def serving(**fields: object) -> pb.DaemonStatus:
    """A daemon that is well."""
    told: dict[str, object] = {
        "version": __version__,
        "phase": pb.DAEMON_PHASE_SERVING,
        "pid": 7,
        "store_id": "0198c5d05c1e",
        "head_seq": 12,
        "shim_protocol": 2,
        "agent_path": "/usr/bin:/bin",
        "open_files_limit": 65536,
        "python_version": "3.11.7",
    }
    return pb.DaemonStatus(**{**told, **fields})  # type: ignore[arg-type]  # fields of the message


def made(path: Path, mode: int, text: str | None = None) -> Path:
    """A folder, or a file with a text, of this mode whatever the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        path.mkdir(exist_ok=True)
    else:
        path.write_text(text)
    path.chmod(mode)
    return path


# --- places -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o750, "warn"), (0o777, "warn")])
def test_a_state_folder_that_others_can_see_into_is_told_with_its_mode(tmp_path: Path, mode: int, state: str) -> None:
    made(tmp_path / "state", mode)
    found = places.state_folder(scene(tmp_path))
    assert found.state == state
    if state != "ok":
        assert found.fix == f"chmod 700 {tmp_path / 'state'}"


def test_a_state_folder_that_is_not_there_is_no_problem_before_the_first_start(tmp_path: Path) -> None:
    assert places.state_folder(scene(tmp_path)).state == "skip"


def test_a_state_folder_on_a_network_is_a_danger(tmp_path: Path) -> None:
    made(tmp_path / "state", 0o700)
    made(tmp_path / "root" / "proc" / "mounts", 0o644, f"/dev/sda / ext4 rw 0 0\nhost:/home {tmp_path} nfs4 rw 0 0\n")
    found = places.state_folder(scene(tmp_path))
    assert (found.state, "nfs4" in found.what) == ("warn", True)


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder away: root")
def test_the_folders_of_another_user_say_as_whom_to_ask(tmp_path: Path) -> None:
    os.chown(made(tmp_path / "state", 0o700), 65534, -1)
    os.chown(made(tmp_path / "run", 0o700), 65534, -1)
    for found in (places.state_folder(scene(tmp_path)), places.socket_folder(scene(tmp_path))):
        assert found.state == "fail"
        assert found.fix.startswith("sudo -u ")


@pytest.mark.parametrize(("mode", "state"), [(0o700, "ok"), (0o755, "fail"), (0o1777, "warn")])
def test_a_socket_folder_that_others_may_enter_is_told(tmp_path: Path, mode: int, state: str) -> None:
    made(tmp_path / "run", mode)
    found = places.socket_folder(scene(tmp_path))
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


def test_a_secret_that_others_may_read_is_named_with_the_command_that_hides_it(tmp_path: Path) -> None:
    token = made(tmp_path / "state" / "owner.token", 0o600, "a")
    made(tmp_path / "run" / "owner.token", 0o600, "a")
    assert places.secrets(scene(tmp_path)) == ok("2 files, mode 0600")
    token.chmod(0o640)
    assert places.secrets(scene(tmp_path)).fix == f"chmod 600 {token}"


def test_a_token_beside_the_socket_that_opens_nothing_is_found(tmp_path: Path) -> None:
    made(tmp_path / "state" / "owner.token", 0o600, "new")
    made(tmp_path / "run" / "owner.token", 0o600, "old")
    assert places.secrets(scene(tmp_path)).state == "fail"


def test_a_socket_without_a_daemon_was_left_behind(tmp_path: Path) -> None:
    made(tmp_path / "state" / "lock", 0o600, "4711\n")
    assert places.leftovers(scene(tmp_path)).state == "ok"
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run" / "kaged.sock"))
    found = places.leftovers(scene(tmp_path))
    assert (found.state, found.fix) == ("warn", "kagectl daemon start")


# --- the daemon -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (pb.DAEMON_PHASE_SERVING, "ok"),
        (pb.DAEMON_PHASE_READ_ONLY, "fail"),
        (pb.DAEMON_PHASE_RECOVERING, "warn"),
        (pb.DAEMON_PHASE_DRAINING, "warn"),
        (77, "warn"),
    ],
)
def test_a_daemon_is_as_well_as_its_phase(tmp_path: Path, phase: int, state: str) -> None:
    found = daemon.reachable(scene(tmp_path, serving(phase=phase)))
    assert found.state == state
    assert bool(found.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("silence", "fix"),
    [
        (Unavailable("nobody", hint="start it with: kagectl daemon start"), "kagectl daemon start"),
        (ClientError("no", reason="TOKEN_INVALID", code="UNAUTHENTICATED"), "kagectl doctor --check secrets"),
        (ClientError("late", code="DEADLINE_EXCEEDED"), "--timeout"),
        (ClientError("of another user", reason="SOCKET_FORBIDDEN", hint="run as the daemon's owner"), "owner"),
        (ClientError("no words"), "kagectl daemon logs"),
    ],
)
def test_a_daemon_that_does_not_answer_has_one_fix_for_each_reason(
    tmp_path: Path, silence: ClientError, fix: str
) -> None:
    found = daemon.reachable(replace(scene(tmp_path), silence=silence))
    assert found.state == "fail"
    assert fix in found.fix


def test_another_release_is_told_with_who_is_to_move(tmp_path: Path) -> None:
    assert daemon.versions(scene(tmp_path, serving())).state == "ok"
    assert "kagectl daemon restart" in daemon.versions(scene(tmp_path, serving(version="0.0.9"))).fix
    assert "upgrade kagectl" in daemon.versions(scene(tmp_path, serving(version="99.0"))).fix
    assert daemon.versions(scene(tmp_path, serving(version="0.0.x+dirty"))).state == "warn"


@pytest.mark.parametrize(("protocols", "state"), [((), "ok"), ((2, 2), "ok"), ((1, 2), "ok"), ((2, 3), "fail")])
def test_shims_that_are_newer_than_the_daemon_are_a_problem_older_ones_are_not(
    tmp_path: Path, protocols: tuple[int, ...], state: str
) -> None:
    for number, protocol in enumerate(protocols):
        made(tmp_path / "state" / "runs" / f"a.{number}" / "meta.json", 0o600, f'{{"protocol": {protocol}}}')
    made(tmp_path / "state" / "runs" / "torn.1" / "meta.json", 0o600, '{"proto')
    found = daemon.shims(scene(tmp_path, serving()))
    assert found.state == state
    assert ("older" in found.what) == (protocols == (1, 2))


def test_a_store_without_a_daemon_is_for_fsck(tmp_path: Path) -> None:
    assert daemon.store(scene(tmp_path)).fix == ""
    (tmp_path / "state" / "db").mkdir(parents=True)
    assert daemon.store(scene(tmp_path)).fix == "kagectl fsck"
    assert daemon.store(scene(tmp_path, serving(phase=pb.DAEMON_PHASE_READ_ONLY, detail="full"))).state == "fail"


# --- the service ------------------------------------------------------------------------------------------------


def systemd_of(folder: Path, **told: str) -> Scene:
    """A machine with a systemd that answers `show` like this, and lingers when `Linger` says so."""
    made(folder / "root" / "run" / "systemd" / "system", 0o755)
    answers = {"LoadState": "loaded", "ActiveState": "active", "MainPID": "7", "UnitFileState": "enabled", **told}
    linger = answers.pop("Linger", "no")
    text = "\n".join(f"{name}={value}" for name, value in answers.items())
    made(folder / "answers", 0o644, text + "\n")
    program(folder / "bin", "systemctl", f'[ "$1" = --user ] || exit 1; cat {folder / "answers"}')
    program(folder / "bin", "loginctl", f"echo Linger={linger}")
    env = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    return replace(scene(folder, serving()), env=env)


@pytest.mark.parametrize(
    ("told", "state", "fix"),
    [
        ({}, "ok", ""),
        ({"LoadState": "not-found", "UnitFileState": "", "MainPID": "0"}, "warn", "kagectl daemon install"),
        ({"UnitFileState": "disabled"}, "warn", "kagectl daemon enable"),
        ({"MainPID": "8"}, "warn", "kagectl daemon stop && kagectl daemon start"),
        ({"ActiveState": "failed"}, "warn", "kagectl daemon start"),
    ],
)
def test_a_service_is_installed_enabled_and_the_one_that_answers(
    tmp_path: Path, told: dict[str, str], state: str, fix: str
) -> None:
    found = service.installed(systemd_of(tmp_path, **told))
    assert (found.state, found.fix.startswith(fix)) == (state, True), found


def test_without_a_service_manager_it_says_what_to_do_instead(tmp_path: Path) -> None:
    found = service.installed(scene(tmp_path, serving()))
    assert found.state == "skip"
    assert "detached" in found.fix


def test_a_daemon_of_another_place_is_no_matter_of_the_service(tmp_path: Path) -> None:
    here = systemd_of(tmp_path)
    elsewhere = replace(here, env={**here.env, "KAGE_STATE_DIR": "/srv/kage"})
    assert service.installed(elsewhere).state == "skip"


@pytest.mark.parametrize("lingers", ["yes", "no"])
def test_without_lingering_a_logout_ends_agents(tmp_path: Path, lingers: str) -> None:
    found = service.linger(systemd_of(tmp_path, Linger=lingers))
    assert (found.state, found.fix) == (("ok", "") if lingers == "yes" else ("warn", "loginctl enable-linger"))


def test_a_unit_is_compared_with_what_this_release_would_write(tmp_path: Path) -> None:
    kaged = program(tmp_path / "bin", "kaged", "exit 0")
    wanted = user_unit(Service(program=(str(kaged),), environment={"PATH": "/usr/bin"}))
    file = tmp_path / "kaged.service"

    def told(text: str, **more: str) -> Verdict:
        file.write_text(text)
        start = f"{{ path={kaged} ; argv[]={kaged} ; ignore_errors=no ; }}"
        answers = {"FragmentPath": str(file), "Environment": "PATH=/usr/bin", "ExecStart": start, **more}
        return service.unit(systemd_of(tmp_path, **answers))

    assert told(sealed(wanted)).state in ("ok", "warn")
    assert "another release" not in told(sealed(wanted)).what
    assert "another release" in told(sealed(wanted.replace("WatchdogSec=30", "WatchdogSec=20"))).what
    assert "by hand" in told(sealed(wanted) + "\n# mine\n").what
    assert "daemon-reload" in told(sealed(wanted), NeedDaemonReload="yes").fix
    kaged.unlink()
    gone = told(sealed(wanted))
    assert (gone.state, gone.fix) == ("fail", "kagectl daemon install")


# --- disk and machine -------------------------------------------------------------------------------------------


def test_the_speed_of_the_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    made(tmp_path / "state", 0o700)
    assert disk.fsync(scene(tmp_path)).state in ("ok", "warn")
    assert list((tmp_path / "state").iterdir()) == []
    assert disk.fsync(scene(tmp_path / "nowhere")).state == "skip"
    assert not (tmp_path / "nowhere").exists()


def test_room_is_told_for_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk.space(scene(tmp_path / "a" / "b")).state in ("ok", "warn", "fail")


@pytest.mark.parametrize(
    ("scopes", "enforced", "state", "word"),
    [
        (True, ["memory_bytes", "cpus", "processes", "idle_s"], "ok", "kernel"),
        (True, ["processes", "memory_bytes"], "warn", "cpu"),
        (False, ["idle_s"], "warn", "refused"),
    ],
)
def test_limits_that_cannot_be_held_are_named(
    tmp_path: Path, scopes: bool, enforced: list[str], state: str, word: str
) -> None:
    found = machine.limits(scene(tmp_path, serving(scopes=scopes, enforced_limits=enforced)))
    assert (found.state, word in found.what) == (state, True)


@pytest.mark.parametrize(
    ("watches", "instances", "state"), [(192536, 128, "ok"), (100, 128, "warn"), (8192, 1, "warn")]
)
def test_few_watches_are_told(tmp_path: Path, watches: int, instances: int, state: str) -> None:
    folder = tmp_path / "root" / "proc/sys/fs/inotify"
    made(folder / "max_user_watches", 0o644, f"{watches}\n")
    made(folder / "max_user_instances", 0o644, f"{instances}\n")
    assert machine.inotify(scene(tmp_path)).state == state


def test_a_clock_that_was_turned_back_is_seen_in_the_journal(tmp_path: Path) -> None:
    status = serving()
    status.newest_event_time.seconds = int(NOW_S) - 5
    assert machine.clock(replace(scene(tmp_path, status), platform="darwin")).state == "ok"
    status.newest_event_time.seconds = int(NOW_S) + 3600
    assert "1h" in machine.clock(replace(scene(tmp_path, status), platform="darwin")).what
    assert machine.clock(replace(scene(tmp_path), now_s=0.0)).state == "fail"


def test_a_low_limit_of_open_files_is_the_daemons_not_the_shells(tmp_path: Path) -> None:
    assert machine.open_files(scene(tmp_path, serving(open_files_limit=1024))).state == "warn"
    assert machine.open_files(scene(tmp_path, serving(open_files_limit=0))).state == "ok"


# --- programs ---------------------------------------------------------------------------------------------------


def program(folder: Path, name: str, text: str) -> Path:
    """A program in a folder for PATH."""
    return made(folder / name, 0o755, f"#!/bin/sh\n{text}\n")


def test_a_program_that_only_the_shell_finds_is_told(tmp_path: Path) -> None:
    mine = program(tmp_path / "mine", "claude", "echo 1.2.3").parent
    found = programs.path(scene(tmp_path, serving(), PATH=f"{mine}:/usr/bin:/bin"))
    assert (found.state, "claude" in found.what) == ("warn", True)
    assert "kagectl daemon install" in found.fix
    assert programs.path(scene(tmp_path, serving(agent_path=f"{mine}:/usr/bin:/bin"))).state == "ok"


def test_an_agents_program_tells_its_version_or_why_not(tmp_path: Path) -> None:
    claude, folder = programs.program_of("claude"), tmp_path / "bin"

    def told() -> Verdict:
        return claude(scene(tmp_path, serving(agent_path=f"{folder}:/usr/bin:/bin")))

    assert claude(scene(tmp_path, serving(agent_path=str(folder)), PATH=str(folder))).state == "skip"
    program(folder, "claude", "echo; echo 2.0.1; echo more")
    assert told() == ok(f"2.0.1 at {folder / 'claude'}")
    program(folder, "claude", "echo no such thing >&2; exit 3")
    assert (told().state, "no such thing" in told().what) == ("warn", True)
    (folder / "claude").write_bytes(b"\x7fELF nonsense")
    assert told().state == "warn"


def test_a_program_that_hangs_is_left_after_its_time_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = program(tmp_path, "stuck", f"sleep 1000 & echo $! $$ > {pids}; exec sleep 1000")
    before = time.monotonic()
    said = asking.ask([str(script)], os.environ, timeout_s=0.5)
    assert said.code is None
    assert "did not answer in 0.5 s" in said.why
    assert time.monotonic() - before < 10
    deadline = time.monotonic() + 10
    for pid in pids.read_text().split():
        while _lives(int(pid)):
            assert time.monotonic() < deadline, f"{pid} is still there"
            time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


# --- all of it --------------------------------------------------------------------------------------------------


def test_checks_that_break_or_hang_are_problems_of_their_own(tmp_path: Path) -> None:
    release = threading.Event()

    def breaks(_: Scene) -> Verdict:
        raise RuntimeError("oh")

    def hangs(_: Scene) -> Verdict:
        release.wait(60)
        return ok("at last")

    def forbidden(_: Scene) -> Verdict:
        raise PermissionError(13, "Permission denied", "/of/another/x")

    checks = [
        Check(name=look.__name__, about="", look=look, limit_s=0.3)
        for look in (breaks, hangs, forbidden, lambda _: ok("y"))
    ]
    found = examine(scene(tmp_path), checks)
    release.set()
    assert [verdict.state for verdict in found] == ["warn", "fail", "fail", "ok"]
    assert "RuntimeError: oh" in found[0].what
    assert "no answer in 0.3 s" in found[1].what
    assert "/of/another/x" in found[2].what
    assert failed(found)


def test_every_problem_has_a_fix_on_a_machine_where_nothing_is(tmp_path: Path) -> None:
    empty = replace(scene(tmp_path / "none"), env={}, platform="haiku", now_s=time.time())
    for check, verdict in zip(CHECKS, examine(empty, CHECKS), strict=True):
        assert check.about.endswith("."), check.name
        assert verdict.what
        assert verdict.fix or verdict.state in ("ok", "skip"), check.name
        assert "broke" not in verdict.what, verdict
        assert "\n" not in verdict.what + verdict.fix
    assert not (tmp_path / "none").exists(), "nothing was made"


@pytest.mark.parametrize(
    "env",
    [
        {"KAGE_SOCKET": "/nowhere/kaged.sock"},
        {"KAGE_SOCKET": "/etc/passwd"},
        {"KAGE_SOCKET": "/" + "s" * 200},
        {"KAGE_SOCKET": "tcp:10.0.0.1:1"},
        {"KAGE_SOCKET": "tcp:127.0.0.1:1"},
        {"KAGE_RUN_ID": "a.1"},
        {"KAGE_STATE_DIR": "/dev/null/x"},
        {},
    ],
)
def test_whatever_the_environment_says_there_is_a_scene_and_a_verdict(tmp_path: Path, env: Mapping[str, str]) -> None:
    found = look({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **env}, None)
    assert found.status is None
    verdicts = examine(found, CHECKS)
    assert verdicts[0].state == "fail"
    assert verdicts[0].fix
    assert not [verdict for verdict in verdicts if "broke" in verdict.what]
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_a_line_for_each_check_a_fix_for_each_problem_and_a_count() -> None:
    checks = [Check(name=name, about="", look=lambda _: ok("")) for name in ("one", "three", "x", "y")]
    text = report(
        checks, [ok("well"), warn("slow\x1b[2J", "buy a disk"), fail("gone", "kagectl daemon start"), skip("-")]
    )
    assert text == (
        "ok    one    well\n"
        "warn  three  slow\\x1b[2J\n"
        "             fix: buy a disk\n"
        "FAIL  x      gone\n"
        "             fix: kagectl daemon start\n"
        "-     y      -\n"
        "\n"
        "4 checks: 1 ok, 1 to look at, 1 failed, 1 do not apply here"
    )


def test_the_page_about_it_names_every_check_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    rows = [line.split("|")[1] for line in page.partition("## The checks")[2].splitlines() if line.startswith("| `")]
    assert [name.strip(" `") for row in rows for name in row.split(",")] == [check.name for check in CHECKS]
