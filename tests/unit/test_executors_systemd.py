"""Which unit we are and what systemd does with it, from its own texts."""

from collections.abc import Mapping, Sequence

import pytest

from kaged.executors.systemd import Unit, job_of, own_unit, pending_job

HYBRID = """13:pids:/user.slice/user-1000.slice/user@1000.service/kage.slice/kaged.service
1:name=systemd:/user.slice/user-1000.slice/user@1000.service/kage.slice/kaged.service
0::/user.slice/user-1000.slice/user@1000.service/kage.slice/kaged.service
"""
NOTIFIED = {"NOTIFY_SOCKET": "/run/user/1000/systemd/notify"}


@pytest.mark.parametrize(
    ("environ", "cgroups", "unit"),
    [
        (NOTIFIED, HYBRID, Unit(name="kaged.service", user=True)),
        (
            NOTIFIED,
            "0::/system.slice/system-kaged.slice/kaged@1000.service\n",
            Unit(name="kaged@1000.service", user=False),
        ),
        (
            NOTIFIED,
            "0::/user.slice/user-0.slice/user@0.service/app.slice/k:v.service",
            Unit(name="k:v.service", user=True),
        ),
        # systemd on version 2 inside of a machine that has version 1
        (NOTIFIED, "1:name=systemd:/machine\n0::/system.slice/kaged.service", Unit(name="kaged.service", user=False)),
        ({}, HYBRID, None),  # a shell in somebody's unit
        (NOTIFIED, "0::/user.slice/user-1000.slice/session-3.scope", None),
        (NOTIFIED, "0::/", None),  # a container that passes the socket in
        (NOTIFIED, "", None),
    ],
)
def test_the_own_unit_is_read_from_the_cgroup(environ: Mapping[str, str], cgroups: str, unit: Unit | None) -> None:
    assert own_unit(environ, cgroups) == unit


@pytest.mark.parametrize(
    ("listing", "job"),
    [
        ("", ""),
        ("No jobs running.\n", ""),
        ("42 kaged.service stop running\n", "stop"),
        ("  7 dbus.service    stop    waiting\n  42 kaged.service restart running\n", "restart"),
        ("42 other-kaged.service stop running\n", ""),
        ("garbage\n\n", ""),
    ],
)
def test_the_job_is_that_of_our_unit_or_unknown(listing: str, job: str) -> None:
    assert job_of("kaged.service", listing) == job


def test_without_a_manager_nobody_is_asked() -> None:
    def run(command: Sequence[str], environ: Mapping[str, str]) -> str:
        raise AssertionError(command)

    assert pending_job({}, run) == ""
