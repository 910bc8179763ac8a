"""The soak in small: random `kill -9` under mixed agents, judged by the ledger. `make torture` is the long one."""

from pathlib import Path

import pytest

from tests.faults import soak_agent
from tests.faults.soak import soak

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def test_nothing_is_lost_or_doubled_or_left_over_when_daemon_and_shims_are_killed_for_a_minute(tmp_path: Path) -> None:
    figures = soak(tmp_path, kills=60, seconds=40, limit_s=60, agents=40, seed=20261122, kinds=list(soak_agent.KINDS))
    print(figures)
    assert figures.kills >= 5  # a slow machine gets fewer; within the limit
    assert figures.agents >= 28
    assert figures.ends.get("lost", 0) >= 1, "shims were killed as well"
    assert figures.findings == []
    assert figures.orphans == []
