"""`kagectl doctor` on a real systemd: what a newcomer's installation lacks, step by step, until nothing does."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.systemd.host import Host
from tests.systemd.service import Service

_numbers = itertools.count(1)


@pytest.fixture
def newcomer(host: Host) -> Iterator[Service]:
    """Somebody who has just typed `pip install --user`."""
    with host.user(f"doc{next(_numbers)}") as user:
        service = Service(user)
        service.put_programs(user.home / ".local/bin")
        try:
            yield service
        finally:
            service.close()


def doctor(service: Service) -> dict[str, dict[str, Any]]:
    """The checks by name."""
    done = service.kagectl("doctor", "-o", "json", check=False)
    assert "Traceback" not in done.stderr, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert (done.returncode == 0) == all(check["state"] != "fail" for check in found.values())
    return found


def test_each_step_of_an_installation_takes_away_what_the_doctor_found(newcomer: Service) -> None:
    found = doctor(newcomer)
    assert (found["service"]["state"], found["service"]["fix"]) == ("warn", "kagectl daemon install")
    assert found["daemon"]["state"] == "fail"

    newcomer.kagectl("daemon", "install")
    found = doctor(newcomer)
    assert (found["service"]["state"], found["service"]["fix"]) == ("warn", "kagectl daemon start")
    assert found["linger"]["state"] == "ok"

    newcomer.start()
    found = doctor(newcomer)
    whole = "daemon service service-unit linger state-folder socket-folder secrets leftovers"
    for name in whole.split():
        assert found[name]["state"] == "ok", found[name]
    assert str(newcomer.pid) in found["service"]["what"]

    newcomer.systemctl("disable", "kaged")
    assert doctor(newcomer)["service"]["fix"] == "kagectl daemon enable"

    unit = newcomer.user.home / ".config/systemd/user/kaged.service"
    text = newcomer.user.seen(unit).read_text()
    newcomer.user.write(unit, text.replace("WatchdogSec=30", "WatchdogSec=31"))
    assert "daemon-reload" in doctor(newcomer)["service-unit"]["fix"]
    newcomer.systemctl("daemon-reload")
    assert "by hand" in doctor(newcomer)["service-unit"]["what"]
