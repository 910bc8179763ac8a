"""`kagectl daemon install` and its companions on a real systemd: what a newcomer types, and what they get."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.host import Host, eventually
from tests.systemd.service import Service

_numbers = itertools.count(1)
UNIT = ".config/systemd/user/kaged.service"
SLICE = ".config/systemd/user/kage-agents.slice"


@pytest.fixture
def newcomer(host: Host) -> Iterator[Service]:
    """Somebody who has just typed `pip install --user`: programs, and nothing else."""
    with host.user(f"new{next(_numbers)}") as user:
        service = Service(user)
        service.put_programs(user.home / ".local/bin")
        try:
            yield service
        finally:
            service.close()


def there(service: Service, path: str) -> bool:
    return service.user.seen(service.user.home / path).exists()


def test_a_newcomer_installs_starts_and_runs_an_agent(newcomer: Service) -> None:
    shown = newcomer.kagectl("daemon", "install")
    assert "next: systemctl --user start kaged" in shown.stdout
    assert "linger" not in shown.stdout  # this person does
    newcomer.user.run("systemctl", "--user", "start", "kaged")
    ran = newcomer.kagectl("run", "--", "sh", "-c", "echo hi")
    assert ran.stdout == "hi\n"
    assert newcomer.systemctl("is-enabled", "kaged") == "enabled\n"
    folder = newcomer.user.home / ".config/systemd/user"
    said = newcomer.user.run("systemd-analyze", "verify", "--user", str(folder / "kaged.service"))
    assert said.stdout + said.stderr == ""
    assert "kaged ready" in newcomer.kagectl("daemon", "logs").stdout


def test_agents_have_the_path_of_whoever_installed_it(newcomer: Service) -> None:
    newcomer.kagectl("daemon", "install", "--path", "/home/x y/100%:/opt/$ave/bin:.")
    kage = newcomer.start()
    agent = kage.spawn("/bin/sh", "-c", "echo $PATH")
    kage.wait(agent)
    assert kage.output(agent) == b"/home/x y/100%:/opt/$ave/bin:/usr/local/bin:/usr/bin:/bin\n"


def test_a_dry_run_shows_all_and_changes_nothing(newcomer: Service) -> None:
    shown = newcomer.kagectl("daemon", "install", "--dry-run").stdout
    assert f"would write  {newcomer.user.home}/{UNIT}" in shown
    assert "ExecStart=" in shown
    assert "would run    systemctl --user daemon-reload" in shown
    assert "would run    systemctl --user enable kaged.service" in shown
    assert not there(newcomer, ".config/systemd")
    report = json.loads(newcomer.kagectl("daemon", "install", "--dry-run", "-o", "json").stdout)
    assert report["manager"] == "systemd (user)"
    assert [step["word"] for step in report["steps"]] == ["would write", "would write", "would run", "would run"]


def test_installing_again_changes_nothing_and_a_new_path_is_taken_over(newcomer: Service) -> None:
    newcomer.kagectl("daemon", "install", "--now")
    daemon = newcomer.pid
    again = newcomer.kagectl("daemon", "install")
    assert f"unchanged  {newcomer.user.home}/{UNIT}" in again.stdout
    assert "it runs already" in again.stdout
    changed = newcomer.kagectl("daemon", "install", "--path", "/opt/new/bin")
    assert f"wrote      {newcomer.user.home}/{UNIT}" in changed.stdout
    assert "kagectl daemon restart makes it use this" in changed.stdout
    assert newcomer.pid == daemon
    newcomer.kagectl("daemon", "restart")
    assert newcomer.pid != daemon
    assert "PATH=/opt/new/bin:" in newcomer.shown("Environment")


def test_a_unit_that_somebody_changed_is_left_alone_unless_forced(newcomer: Service) -> None:
    newcomer.kagectl("daemon", "install")
    unit = newcomer.user.home / UNIT
    mine = newcomer.user.seen(unit).read_text().replace("WatchdogSec=30", "WatchdogSec=90")
    newcomer.user.write(unit, mine)
    for verb in (("install",), ("uninstall",)):
        refused = newcomer.kagectl("daemon", *verb, check=False)
        assert refused.returncode == 5
        assert "was changed since kagectl wrote it" in refused.stderr
        assert newcomer.user.seen(unit).read_text() == mine
    forced = newcomer.kagectl("daemon", "install", "--force")
    assert "kaged.service.saved-1" in forced.stdout
    assert newcomer.user.seen(Path(f"{unit}.saved-1")).read_text() == mine
    assert "\nWatchdogSec=30\n" in newcomer.systemctl("cat", "kaged")


def test_a_packaged_unit_that_was_copied_by_hand_may_be_replaced(service: Service) -> None:
    assert "wrote" in service.kagectl("daemon", "install").stdout


@pytest.mark.parametrize("policy", ["auto", "stop"])
def test_a_restart_keeps_agents_and_returns_when_the_next_daemon_serves(newcomer: Service, policy: str) -> None:
    newcomer.kagectl("daemon", "install", "--now")
    newcomer.configure(f'on_stop = "{policy}"\n')
    newcomer.kagectl("daemon", "restart")
    kage = newcomer.kage.again()
    agent = kage.spawn("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
    eventually(lambda: kage.output(agent), "the first output")
    before, daemon = newcomer.agent_pids(agent), newcomer.pid
    shown = newcomer.kagectl("daemon", "restart").stdout
    assert "1 agent went on" in shown
    assert newcomer.pid not in (0, daemon)
    assert newcomer.shown("ActiveState") == "active"
    kage.again()
    assert newcomer.agent_pids(agent) == before
    kage.end(agent)
    seen = [int(line) for line in kage.output(agent).splitlines()[:-1]]
    assert seen == list(range(1, len(seen) + 1))


def test_a_daemon_that_does_not_answer_is_restarted_by_systemd_and_agents_go_on(newcomer: Service) -> None:
    newcomer.kagectl("daemon", "install", "--now")
    newcomer.drop_in("[Service]\nTimeoutStopSec=2\nTimeoutAbortSec=2\n")
    kage = newcomer.kage.again()
    agent = kage.spawn("sleep", "600")
    before, daemon = newcomer.agent_pids(agent), newcomer.pid
    newcomer.signal("STOP")
    newcomer.kagectl("daemon", "restart")
    assert newcomer.pid not in (0, daemon)
    kage.again()
    assert newcomer.agent_pids(agent) == before
    kage.end(agent)


def test_uninstalled_it_is_gone_but_agents_and_journal_stay_and_any_kaged_takes_them_up(newcomer: Service) -> None:
    newcomer.kagectl("daemon", "install", "--now")
    kage = newcomer.kage.again()
    agent = kage.spawn("sleep", "600")
    before = newcomer.agent_pids(agent)
    shown = newcomer.kagectl("daemon", "uninstall").stdout
    assert "1 agent goes on" in shown
    assert not there(newcomer, UNIT)
    assert not there(newcomer, SLICE)
    assert newcomer.user.shown("kaged.service", "LoadState") == "not-found"
    assert all(newcomer.lives(pid) for pid in before)
    assert newcomer.kagectl("daemon", "uninstall").returncode == 0  # again: nothing to do
    newcomer.kagectl("daemon", "start")  # detached now
    assert newcomer.kage.again().agent(agent).run.pid == before[0]
    assert "kaged ready" in newcomer.kagectl("daemon", "logs").stdout
    shown = newcomer.kagectl("daemon", "install", "--now").stdout  # and back under systemd
    assert "that was started by hand" in shown
    assert newcomer.pid
    newcomer.kage.again()
    assert newcomer.agent_pids(agent) == before
    assert newcomer.kagectl("daemon", "uninstall", "--stop-agents").returncode == 0
    assert not any(newcomer.lives(pid) for pid in before)


def test_a_stop_sticks_and_enable_and_disable_only_say_what_happens_at_boot(newcomer: Service) -> None:
    missing = newcomer.kagectl("daemon", "enable", check=False)
    assert missing.returncode == 5
    assert "kagectl daemon install" in missing.stderr
    newcomer.kagectl("daemon", "install", "--no-enable", "--now")
    assert newcomer.systemctl("is-enabled", "kaged", check=False) == "disabled\n"
    newcomer.kagectl("daemon", "enable")
    assert newcomer.systemctl("is-enabled", "kaged") == "enabled\n"
    newcomer.kagectl("daemon", "disable")
    assert newcomer.systemctl("is-enabled", "kaged", check=False) == "disabled\n"
    assert newcomer.shown("ActiveState") == "active"
    newcomer.kagectl("daemon", "stop")
    eventually(lambda: newcomer.shown("ActiveState") == "inactive", "the service to end")
    newcomer.kagectl("daemon", "start")
    assert newcomer.shown("ActiveState") == "active"


@pytest.mark.parametrize("folder", ["my tools/100%", "it's $HOME", 'a "b" \\c'])
def test_a_program_in_a_folder_with_any_name_is_started(newcomer: Service, folder: str) -> None:
    place = newcomer.user.home / folder
    newcomer.put_programs(place)
    newcomer.user.run(str(place / "kagectl"), "daemon", "install", "--now")
    status = json.loads(newcomer.kagectl("daemon", "status", "-o", "json").stdout)
    assert status["pid"] == newcomer.pid
    command = (newcomer.user.host.root / f"proc/{newcomer.pid}/cmdline").read_bytes()
    assert str(place / "kaged").encode() in command.split(b"\0")


def test_a_place_of_its_own_goes_with_the_service(newcomer: Service) -> None:
    state = f"{newcomer.user.home}/elsewhere"
    shown = newcomer.kagectl("daemon", "install", "--state-dir", state, "--now").stdout
    assert f"export KAGE_STATE_DIR={state}" in shown
    there = ("env", f"KAGE_STATE_DIR={state}", "kagectl", "daemon")
    status = json.loads(newcomer.user.run(*there, "status", "-o", "json").stdout)
    assert (status["pid"], status["state_dir"]) == (newcomer.pid, state)
    newcomer.user.run(*there, "stop")
    eventually(lambda: newcomer.shown("ActiveState") == "inactive", "the service to end")
    newcomer.user.run(*there, "start")  # the service's, not another one beside it
    assert newcomer.shown("ActiveState") == "active"
    newcomer.user.run(*there, "stop")
    newcomer.kagectl("daemon", "start")  # nobody named that place: this one is somewhere else, and detached
    assert newcomer.shown("ActiveState") == "inactive"
    newcomer.kagectl("daemon", "stop")


def test_without_lingering_it_is_said_and_after_su_it_still_finds_the_manager(newcomer: Service, host: Host) -> None:
    user = newcomer.user
    host.run("loginctl", "disable-linger", user.name)
    host.run("systemctl", "start", f"user@{user.uid}")  # as a login would
    shown = user.run("env", "-u", "XDG_RUNTIME_DIR", "-u", "DBUS_SESSION_BUS_ADDRESS", "kagectl", "daemon", "install")
    assert "loginctl enable-linger" in shown.stdout
    assert f"export XDG_RUNTIME_DIR=/run/user/{user.uid}" in shown.stdout
    host.run("loginctl", "enable-linger", user.name)


def test_the_machines_systemd_has_it_for_one_person_and_gives_it_back(newcomer: Service, host: Host) -> None:
    user = newcomer.user
    kagectl = f"{user.home}/.local/bin/kagectl"
    refused = newcomer.kagectl("daemon", "install", "--system", check=False)
    assert refused.returncode == 5
    assert "sudo" in refused.stderr
    shown = host.run(kagectl, "daemon", "install", "--system", "--for", user.name, "--path", "/opt/ann/bin", "--now")
    unit = f"kaged@{user.uid}.service"
    assert f"/etc/systemd/system/{unit}.d/kage.conf" in shown.stdout
    assert "serves" in shown.stdout
    said = host.run("systemd-analyze", "verify", unit)
    assert said.stdout + said.stderr == ""
    kage = newcomer.kage.again()
    agent = kage.spawn("sh", "-c", "echo $PATH; id -u; exec sleep 600")
    expected = f"/opt/ann/bin:/usr/local/bin:/usr/bin:/bin\n{user.uid}\n".encode()
    eventually(lambda: kage.output(agent) == expected, "the agent's PATH and user")
    before = newcomer.agent_pids(agent)
    assert host.run("systemctl", "is-enabled", unit).stdout == "enabled\n"
    assert "kaged ready" in host.run("journalctl", "--unit", unit, "--no-pager").stdout
    done = host.run(kagectl, "daemon", "uninstall", "--system", "--for", user.name)
    assert "1 agent goes on" in done.stdout
    assert not (host.root / f"etc/systemd/system/{unit}.d").exists()
    assert not (host.root / "etc/systemd/system/kaged@.service").exists()
    assert host.run("systemctl", "is-active", unit, check=False).stdout == "inactive\n"
    assert all(newcomer.lives(pid) for pid in before)
    newcomer.kagectl("daemon", "start")
    kage.again()
    kage.end(agent)
    newcomer.kagectl("daemon", "stop")


def test_two_people_share_the_template_until_the_last_of_them_leaves(newcomer: Service, host: Host) -> None:
    kagectl = f"{newcomer.user.home}/.local/bin/kagectl"
    template = host.root / "etc/systemd/system/kaged@.service"
    with host.user(f"bob{next(_numbers)}") as bob:
        for name in (newcomer.user.name, bob.name):
            host.run(kagectl, "daemon", "install", "--system", "--for", name)
        # The template is there for everybody; that alone does not make it somebody's service.
        host.run(kagectl, "daemon", "uninstall", "--system", "--for", bob.name)
        assert template.exists()
        newcomer.kage.again()
        bob.run("mkdir", "-p", f"{bob.home}/.local/state")
        started = bob.run(kagectl, "daemon", "start")
        assert "started" in started.stdout
        assert bob.host.run("systemctl", "is-active", f"kaged@{bob.uid}", check=False).stdout == "inactive\n"
        bob.run(kagectl, "daemon", "stop")
        host.run(kagectl, "daemon", "uninstall", "--system", "--for", newcomer.user.name)
        assert not template.exists()


def test_a_start_that_fails_shows_the_daemons_own_words(newcomer: Service) -> None:
    newcomer.configure("nonsense = 1\n")
    newcomer.kagectl("daemon", "install")
    failed = newcomer.kagectl("daemon", "start", check=False)
    assert failed.returncode == 4
    assert "nonsense" in failed.stderr, failed.stderr
    assert "kagectl daemon logs" in failed.stderr
