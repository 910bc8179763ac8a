"""The daemon dies at each named point of its protocols, in turn, and nothing is lost, doubled or left over.

`KAGE_CRASHES=5 pytest tests/faults/test_crash_points.py` goes on to the fifth pass of each point.
"""

import os
import re
from pathlib import Path

import pytest

import kagectl
import kaged
from kaged.crash_points import Point
from tests.e2e.daemon_kit import Kaged
from tests.faults import crash

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

_TIMES = int(os.environ.get("KAGE_CRASHES", "2"))
_ROOTS = (Path(kaged.__path__[0]), Path(kagectl.__path__[0]))


@pytest.mark.parametrize("area", crash.AREAS)
def test_a_daemon_that_dies_at_each_point_in_turn_loses_and_doubles_nothing(area: str, tmp_path: Path) -> None:
    points = crash.points(area)
    done, figures = crash.run(tmp_path, crash.plan_of(points, _TIMES))
    print(figures)
    assert figures.findings == []
    assert figures.orphans == []
    assert {f"{point.value}:1" for point in points} <= {*done.hit}, "each point is really reached"


def test_each_point_is_in_one_area_and_is_passed_somewhere() -> None:
    assert sorted(point.value for area in crash.AREAS for point in crash.points(area)) == sorted(
        point.value for point in Point
    )
    text = "\n".join(path.read_text() for path in _ROOTS[0].rglob("*.py") if path.name != "crash_points.py")
    assert {*re.findall(r"\bPoint\.([A-Z_]+)", text)} == {point.name for point in Point}


def test_a_daemon_of_a_release_does_not_care_for_the_variable(tmp_path: Path) -> None:
    environment = {"KAGED_CRASH_AT": "start.locked:1", "KAGED_TEST_BUILD": "1"}
    with Kaged(tmp_path, environment=environment) as daemon:
        assert daemon.wait(daemon.spawn("true")).outcome.exit_code == 0


def test_nothing_in_the_packages_sets_a_trap() -> None:
    for root in _ROOTS:
        for path in root.rglob("*.py"):
            text = path.read_text("utf-8")
            if path.name != "crash_points.py":
                assert "set_trap" not in text, path
                assert "KAGED_CRASH" not in text, path
    assert "environ" not in (_ROOTS[0] / "crash_points.py").read_text("utf-8")
