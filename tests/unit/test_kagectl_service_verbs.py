"""What installing does on which machine: the choice of a manager, the steps, and the words that systemd and launchd are
sent. launchctl is a script that writes down its arguments: what launchd makes of them is not tested here.
"""

import json
import os
import plistlib
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kagectl.errors import Complaint
from kagectl.service.launchd import Launchd, parse_print
from kagectl.service.machine import Facts, Person, look, manager_for
from kagectl.service.model import Service
from kagectl.service.program import find_program
from kagectl.service.steps import Folder, Remove, Run, Step, Write, check, do, show
from kagectl.service.systemd import Systemd, parse_show

ANN = Person(uid=os.getuid(), name="ann", home="/home/ann")
LINUX = Facts(platform="linux", person=ANN, booted=True, runtime_dir="/run/user/1000")
SERVICE = Service(program=("/usr/local/bin/kaged",), environment={"PATH": "/usr/bin"}, user="ann", home="/Users/ann")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(LINUX, booted=False, kernel="5.15.167.4-microsoft-standard-WSL2"), "systemd=true into /etc/wsl.conf"),
        (replace(LINUX, booted=False, container="docker"), "make kaged its main program"),
        (replace(LINUX, booted=False, init="runit"), "process 1 is runit"),
        (replace(LINUX, runtime_dir=""), "loginctl enable-linger ann"),
        (replace(LINUX, platform="freebsd14"), "freebsd14"),
    ],
)
def test_where_no_service_manager_can_have_it_one_is_told_why_and_what_to_do(facts: Facts, words: str) -> None:
    with pytest.raises(Complaint) as told:
        manager_for(facts, system=False)
    assert words in f"{told.value.message} — {told.value.hint}"
    assert told.value.exit_code == 5
    if facts.runtime_dir:
        assert "kagectl daemon start" in told.value.hint


def test_each_system_gets_its_own_manager() -> None:
    assert isinstance(manager_for(LINUX, system=False), Systemd)
    # The machine's systemd needs nobody logged in.
    assert manager_for(replace(LINUX, runtime_dir=""), system=True).unit == f"kaged@{ANN.uid}.service"
    mac = manager_for(Facts(platform="darwin", person=ANN, environ={"HOME": "/Users/ann"}), system=False)
    assert isinstance(mac, Launchd)
    assert mac.log == "/Users/ann/.local/state/kage/kaged.log"


def test_looking_reads_what_a_machine_tells_about_itself(tmp_path: Path) -> None:
    for name, text in (("proc/sys/kernel/osrelease", "6.1-microsoft\n"), ("proc/1/comm", "init\n"), (".dockerenv", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = look({}, ANN, root=tmp_path)
    assert (facts.booted, facts.kernel, facts.init, facts.container) == (False, "6.1-microsoft", "init", "docker")
    assert facts.runtime_dir == ""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / f"run/user/{ANN.uid}").mkdir(parents=True)
    facts = look({}, ANN, root=tmp_path)  # after `su`: nobody says where it is
    assert (facts.booted, facts.runtime_dir) == (True, f"/run/user/{ANN.uid}")
    assert facts.manager_environ["XDG_RUNTIME_DIR"] == facts.runtime_dir


def commands(steps: Sequence[Step]) -> list[str]:
    return [" ".join(step.command) for step in steps if isinstance(step, Run)]


def test_systemd_is_sent_the_same_words_for_a_person_and_for_the_machine() -> None:
    for system, scope, unit in (
        (False, "systemctl --user", "kaged.service"),
        (True, "systemctl", "kaged@1000.service"),
    ):
        manager = Systemd(uid=1000, home="/home/ann", system=system)
        assert commands(manager.install(SERVICE, enable=True, loaded=False, changed=True)) == [
            f"{scope} daemon-reload",
            f"{scope} enable {unit}",
        ]
        assert commands(manager.uninstall(SERVICE, shared=False)) == [
            f"{scope} disable {unit}",
            f"{scope} daemon-reload",
        ]
        assert commands(manager.start())[-1] == f"{scope} start {unit}"
        assert commands(manager.restart()) == [f"{scope} restart {unit}"]
        follow = " ".join(manager.show_logs(tail=5, follow=True))
        assert follow.startswith("journalctl " + ("--unit" if system else "--user --unit"))
        assert follow.endswith("--lines=5 --follow")


def test_what_others_share_stays_when_one_of_them_leaves() -> None:
    manager = Systemd(uid=1000, home="/home/ann", system=True)
    removed = [step.path for step in manager.uninstall(SERVICE, shared=True) if isinstance(step, Remove)]
    assert removed == ["/etc/systemd/system/kaged@1000.service.d/kage.conf"]
    everything = [step.path for step in manager.uninstall(SERVICE, shared=False) if isinstance(step, Remove)]
    assert everything == [step.path for step in manager.files(SERVICE)]


def test_what_systemctl_shows_is_understood_also_with_odd_values() -> None:
    state = parse_show(
        "LoadState=loaded\nActiveState=active\nMainPID=4711\nUnitFileState=enabled\nFragmentPath=/x/kaged.service\n"
        'Environment=PATH=/a:/b "KAGE_STATE_DIR=/srv/my kage"\n'
    )
    assert (state.installed, state.active, state.enabled, state.pid) == (True, True, True, 4711)
    assert state.serves({"KAGE_STATE_DIR": "/srv/my kage", "PATH": "/other"})
    assert not state.serves({})  # that person talks to another one
    assert not parse_show("LoadState=not-found\nActiveState=inactive\nMainPID=0\nEnvironment=\n").installed


def test_what_launchctl_prints_is_searched_for_the_pid_alone() -> None:
    printed = "gui/501/dev.kage.kaged = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /k\n\tpid = 612\n}\n"
    assert parse_print(printed, "/x").pid == 612
    waiting = parse_print("gui/501/dev.kage.kaged = {\n\tstate = not running\n\tlast exit code = 0\n}\n", "/x")
    assert (waiting.installed, waiting.active, waiting.pid) == (True, False, 0)


class FakeLaunchctl:
    """A launchctl that writes down how it was called, fails as it is told, and has a job loaded or not."""

    SCRIPT = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo "$*" >> calls
case $1 in
  print) [ -e loaded ] && echo "	pid = 1" && exit 0; [ "$2" != "${2#*/*/}" ] && exit 113; exit 0 ;;
  bootstrap)
    [ -s busy ] && { sed -i 1d busy; echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }
    touch loaded ;;
  bootout) rm -f loaded ;;
esac
exit 0
"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "launchctl").write_text(self.SCRIPT)
        (folder / "launchctl").chmod(0o755)
        self.environ = {"PATH": f"{folder}:/usr/bin:/bin"}

    def busy(self, times: int) -> None:
        """The next calls of bootstrap fail as those after a bootout do."""
        (self.folder / "busy").write_text("x\n" * times)

    def calls(self, verb: str = "") -> list[str]:
        """What was asked since the last look, without the questions."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("print") and line.startswith(verb)]


@pytest.fixture
def fake(tmp_path: Path) -> FakeLaunchctl:
    return FakeLaunchctl(tmp_path / "fake")


def obey(steps: Sequence[Step], environ: Mapping[str, str]) -> list[str]:
    return [do(step, environ).word for step in steps]


def test_a_launch_agent_is_loaded_once_and_anew_only_when_its_file_changed(tmp_path: Path, fake: FakeLaunchctl) -> None:
    home = str(tmp_path / "home")
    manager = Launchd(uid=501, user="ann", home=home, log=f"{home}/state/kaged.log")
    plist = f"{home}/Library/LaunchAgents/dev.kage.kaged.plist"

    obey(manager.install(SERVICE, enable=True, loaded=False, changed=True), fake.environ)
    assert fake.calls() == ["enable gui/501/dev.kage.kaged", f"bootstrap gui/501 {plist}"]
    assert plistlib.loads(Path(plist).read_bytes())["Label"] == "dev.kage.kaged"
    assert stat.S_IMODE(os.stat(f"{home}/state").st_mode) == 0o700  # for the log: launchd makes no folders

    assert manager.state(fake.environ).installed
    obey(manager.install(SERVICE, enable=True, loaded=True, changed=False), fake.environ)
    assert fake.calls() == ["enable gui/501/dev.kage.kaged"]

    fake.busy(2)  # bootout returns before the job is gone
    obey(manager.install(SERVICE, enable=True, loaded=True, changed=True), fake.environ)
    again = f"bootstrap gui/501 {plist}"
    assert fake.calls() == ["bootout gui/501/dev.kage.kaged", "enable gui/501/dev.kage.kaged", again, again, again]

    obey(manager.restart(), fake.environ)
    assert fake.calls() == ["kickstart -k gui/501/dev.kage.kaged"]
    obey(manager.disable(), fake.environ)
    assert fake.calls() == ["disable gui/501/dev.kage.kaged"]
    obey(manager.uninstall(SERVICE, shared=False), fake.environ)
    assert fake.calls() == ["bootout gui/501/dev.kage.kaged"]
    assert not Path(plist).exists()


def test_without_a_screen_the_agent_is_loaded_for_the_user_and_a_daemon_for_the_system() -> None:
    agent = Launchd(uid=501, user="ann", home="/Users/ann", log="/l/k.log", screen=False)
    assert commands(agent.start())[-1] == "launchctl kickstart user/501/dev.kage.kaged"
    daemon = Launchd(uid=501, user="ann", home="/Users/ann", log="/l/k.log", system=True)
    assert commands(daemon.install(SERVICE, enable=True, loaded=False, changed=True)) == [
        "sudo -u ann mkdir -p -m 700 /l",
        "launchctl enable system/dev.kage.kaged.ann",
        "launchctl bootstrap system /Library/LaunchDaemons/dev.kage.kaged.ann.plist",
    ]


def test_a_bootstrap_that_goes_on_failing_is_told_with_launchctls_own_words(fake: FakeLaunchctl) -> None:
    fake.busy(1)
    with pytest.raises(Complaint, match="Bootstrap failed: 5"):
        do(Run(command=("launchctl", "bootstrap", "gui/501", "/x")), fake.environ)


def kagectl_on_a_mac(home: Path, fake: FakeLaunchctl, *words: str) -> "subprocess.CompletedProcess[str]":
    """The real command in a process that believes to be on macOS."""
    program = "import sys; sys.platform = 'darwin'; from kagectl.main import main; main()"
    environ = fake.environ | {"HOME": str(home), "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environ,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a short name: a socket's path has at most 103 bytes on macOS, and pytest's folders have long ones."""
    with tempfile.TemporaryDirectory(prefix="kage-") as folder:
        yield Path(folder)


def test_the_whole_verb_on_a_mac_that_is_played(home: Path, fake: FakeLaunchctl) -> None:
    dry = kagectl_on_a_mac(home, fake, "daemon", "install", "--dry-run")
    assert "<key>AbandonProcessGroup</key>" in dry.stdout
    assert fake.calls() == []
    assert list(home.iterdir()) == []

    done = kagectl_on_a_mac(home, fake, "daemon", "install", "--path", "/opt/homebrew/bin", "-o", "json")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["manager"] == "launchd (agent)"
    job = plistlib.loads((home / "Library/LaunchAgents/dev.kage.kaged.plist").read_bytes())
    assert job["EnvironmentVariables"]["PATH"].startswith("/opt/homebrew/bin:")
    assert job["StandardOutPath"] == f"{home}/.local/state/kage/kaged.log"
    assert fake.calls("bootstrap") != []

    again = kagectl_on_a_mac(home, fake, "daemon", "install", "--path", "/opt/homebrew/bin")
    assert "unchanged" in again.stdout
    assert fake.calls("boot") == []  # the running one is left alone
    kagectl_on_a_mac(home, fake, "daemon", "disable")
    assert [call.partition(" ")[0] for call in fake.calls()] == ["disable"]


def test_a_step_says_what_it_would_do_and_leaves_a_changed_file_unless_forced(tmp_path: Path) -> None:
    path = str(tmp_path / "a/kaged.service")
    step = Write(path=path, text="[Unit]\n", packaged="[Packaged]\n")
    assert show(step).word == "would write"
    assert [do(step, {}).word, do(step, {}).word] == ["wrote", "unchanged"]
    assert show(step).word == "would leave"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    for mine in ("[Unit]\nmine\n", "[Unit]\nagain mine\n"):
        Path(path).write_text(mine)
        assert show(step).word == "would refuse"
        with pytest.raises(Complaint, match="was changed since"):
            check([step], force=False)
        check([step], force=True)
        do(step, {})
    assert (tmp_path / "a/kaged.service.saved-1").read_text() == "[Unit]\nmine\n"
    assert (tmp_path / "a/kaged.service.saved-2").read_text() == "[Unit]\nagain mine\n"
    Path(path).write_text("[Packaged]\n")
    check([step], force=False)
    assert do(Remove(path=path, text="x", packaged="[Packaged]\n"), {}).word == "removed"
    assert do(Remove(path=path), {}).word == "gone"
    assert do(Folder(path=str(tmp_path / "new"), mode=0o700), {}).word == "made"
    with pytest.raises(Complaint, match="no-such-program"):
        do(Run(command=("no-such-program",)), {"PATH": "/nowhere"})
    assert do(Run(command=("false",), may_fail=True), {"PATH": "/usr/bin:/bin"}).word == "tried"


def test_a_service_starts_the_one_file_and_never_the_folder_that_it_was_unpacked_to(tmp_path: Path) -> None:
    for folder in ("opt", "bin", "cache/kage-1.0/bin"):
        (tmp_path / folder).mkdir(parents=True)
    file = tmp_path / "opt" / "kage"
    for name in (file, tmp_path / "cache/kage-1.0/bin/kaged"):
        name.write_text("#!/bin/sh\n")
        name.chmod(0o755)
    for link in ("kage", "kagectl"):
        (tmp_path / "bin" / link).symlink_to(file)
    environ = {"PATH": f"{tmp_path}/bin"}

    def found(called: str) -> tuple[str, ...]:
        python = str(tmp_path / "cache/kage-1.0/bin/python3")
        return find_program(None, environ, called=called, interpreter=python, one_file=str(file))

    assert found("kage") == (f"{tmp_path}/bin/kage", "kaged")
    assert found(f"{file}") == (str(file), "kaged")
    assert found("kagectl") == (str(file), "kaged")  # no link called kaged beside it
    (tmp_path / "bin" / "kaged").symlink_to(file)
    assert found("kagectl") == (f"{tmp_path}/bin/kaged",)


def test_the_kaged_that_belongs_to_this_kagectl_is_found_and_a_link_is_kept(tmp_path: Path) -> None:
    for folder in ("venv/bin", "links", "other"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("venv/bin/kaged", "venv/bin/kagectl", "other/kaged"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    for name in ("kaged", "kagectl"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "venv/bin" / name)
    python = str(tmp_path / "venv/bin/python")
    environ = {"PATH": f"{tmp_path}/links:{tmp_path}/other"}

    def found(called: str, interpreter: str = python) -> tuple[str, ...]:
        return find_program(None, environ, called=called, interpreter=interpreter)

    assert found("kagectl") == (f"{tmp_path}/links/kaged",)  # as pipx makes them: the link outlives an upgrade
    assert found(f"{tmp_path}/venv/bin/kagectl") == (f"{tmp_path}/venv/bin/kaged",)
    assert found("-c") == (f"{tmp_path}/venv/bin/kaged",)
    assert found("-c", "/usr/bin/python3-of-nobody/python3") == (f"{tmp_path}/links/kaged",)
    assert find_program(None, {"PATH": "/nowhere"}, called="-c", interpreter="/x/python") == (
        "/x/python",
        "-m",
        "kaged",
    )
    with pytest.raises(Complaint, match="cannot be executed"):
        find_program(f"{tmp_path}/nothing", environ, called="kagectl", interpreter=python)
