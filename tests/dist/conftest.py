"""The one file, built once for a whole test run, and a kaged that is started from it."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.dist import built
from tests.e2e.daemon_kit import Kaged


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> built.OneFile:
    """The first worker builds, the others wait for it."""
    if not os.environ.get("KAGE_ONE_FILE"):
        pytest.skip("takes minutes: `make test-dist`, or `make test-onefile` (a quickly pressed one, no network)")
    if why := built.missing():
        pytest.skip(f"THE ONE FILE IS NOT PROVED: {why}")
    base = tmp_path_factory.getbasetemp()
    work = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "onefile"
    work.mkdir(exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = work / "ready"
        if ready.exists():
            path, tree = ready.read_text().splitlines()
            made = built.OneFile(Path(path), Path(tree))
        else:
            made = built.make(work)
            ready.write_text(f"{made.path}\n{made.tree}\n")
    return made


@pytest.fixture(scope="session")
def newer(one: built.OneFile, tmp_path_factory: pytest.TempPathFactory) -> built.OneFile:
    """A later release of it."""
    return built.another_release(one, tmp_path_factory.mktemp("newer"))


class OneFileKaged(Kaged):
    """The daemon kit's kaged, started from a one file through a link, with a cache of its own."""

    def __init__(self, folder: Path, one: built.OneFile, *, flags: Sequence[str] = ()) -> None:
        super().__init__(folder, flags=flags)
        self.cache = folder / "cache"
        self.use(one)

    def use(self, one: built.OneFile) -> None:
        """From the next start on; as an upgrade does it, the link is replaced."""
        self.link = self.folder / "bin" / "kaged"
        self.link.parent.mkdir(parents=True, exist_ok=True)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(one.path)
        self.environment = {"KAGE_CACHE_DIR": str(self.cache)}

    def command(self) -> list[str]:
        return [str(self.link), "--state-dir", str(self.state), "--socket", str(self.socket), *self.flags]

    def versions(self) -> list[Path]:
        """What is unpacked, the newest last."""
        return sorted(self.cache.glob("kage-*"), key=lambda path: path.stat().st_mtime)


@pytest.fixture
def kaged(tmp_path: Path, one: built.OneFile) -> Iterator[OneFileKaged]:
    """Not started yet."""
    daemon = OneFileKaged(tmp_path, one)
    try:
        yield daemon
    finally:
        daemon.__exit__(None, None, None)
