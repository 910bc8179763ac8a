"""The one file under a real systemd: it is the main process, it comes back, its agents stay."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dist.built import OneFile
from tests.systemd.host import Host, missing
from tests.systemd.service import Service

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=f"NOT PROVED UNDER A REAL SYSTEMD: {missing()}"),
]


@pytest.fixture
def service(one: OneFile) -> Iterator[Service]:
    with (
        Host.booted(shared=[one.path.parent], mode=os.environ.get("KAGE_SYSTEMD_MODE", "hybrid")) as host,
        host.user("ann") as ann,
    ):
        installed = Service(ann)
        installed.install()
        for name in ("kaged", "kagectl"):
            ann.run("ln", "-sfn", str(one.path), str(ann.home / ".local/bin" / name))
        try:
            yield installed
        finally:
            installed.close()


def test_it_is_the_main_process_and_comes_back_with_its_agents(service: Service) -> None:
    kage = service.start()  # returns after READY=1, which only the main process may send
    pid = service.pid
    proc = service.user.host.root / "proc" / str(pid)
    assert (proc / "comm").read_text() == "kaged\n"
    assert Path(os.readlink(proc / "exe")).name == "kaged"
    agent = kage.spawn("sleep", "1000")
    run = kage.wait_state(agent, 3).run.id
    service.signal("KILL")
    service.wait_replaced(pid)
    again = kage.again()
    found = again.wait_state(agent, 3)
    assert found.run.id == run
    again.end(agent)
    service.systemctl("stop", "kaged")
    assert service.shown("ActiveState") == "inactive"
    assert service.shown("Result") == "success"
