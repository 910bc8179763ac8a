"""Tests of real agent programs: marked `agents`, and skipped, with the reason, where a program is not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import Kaged
from tests.fakes.scripted_model import ScriptedModel


def pytest_configure(config: pytest.Config) -> None:
    """The marker of this folder."""
    config.addinivalue_line("markers", "agents: drives real agent programs against a scripted model")


@pytest.fixture
def kaged(tmp_path: Path) -> Iterator[Kaged]:
    """A daemon of one's own."""
    with Kaged(tmp_path) as daemon:
        yield daemon


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """The only fake."""
    with ScriptedModel() as scripted:
        yield scripted
