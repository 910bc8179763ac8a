"""One systemd for each worker of a test run, and a new person on it, with Kage installed, for each test."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.host import Host, missing
from tests.systemd.service import Service

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, and say loudly why they cannot run."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    must = bool(os.environ.get("KAGE_MUST_SYSTEMD"))  # `.ci/run` has seen that this machine can: then fail, not skip
    why = missing() if ours and not must else ""
    for item in ours:
        item.add_marker(pytest.mark.systemd)
        if why:
            item.add_marker(pytest.mark.skip(reason=f"NOT PROVED UNDER A REAL SYSTEMD: {why}"))


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Host.booted(mode=os.environ.get("KAGE_SYSTEMD_MODE", "hybrid")) as booted:
        yield booted


@pytest.fixture
def service(host: Host) -> Iterator[Service]:
    with host.user(f"ann{next(_numbers)}") as ann:
        installed = Service(ann)
        installed.install()
        try:
            yield installed
        finally:
            installed.close()
