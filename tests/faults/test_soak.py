"""The soak in small: random `kill -9` under mixed agents, judged by the ledger. `make torture` is the long one."""

from pathlib import Path

import pytest

from tests.faults import soak_agent
from tests.faults.soak import soak

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def test_nothing_is_lost_or_doubled_or_left_over_when_the_daemon_is_killed_fifty_times(tmp_path: Path) -> None:
    figures = soak(tmp_path, kills=50, seconds=20, agents=10, seed=20261122, kinds=list(soak_agent.KINDS))
    print(figures)
    assert figures.kills >= 20  # a slow machine gets fewer; see Soak._kill_forever
    assert figures.agents >= 20
    assert figures.findings == []
    assert figures.orphans == []
