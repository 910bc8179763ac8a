"""One daemon for each module of API tests; the tests of a module share it and use names of their own."""

from collections.abc import Iterator

import pytest

from tests.e2e.daemon_kit import Kaged


@pytest.fixture(scope="module")
def kaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaged]:
    with Kaged(tmp_path_factory.mktemp("kaged")) as daemon:
        yield daemon
