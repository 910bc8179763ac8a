"""Nobody else reads what is kept, also in a folder that was there before with an open mode."""

import stat
from pathlib import Path

import pytest

from tests.e2e.daemon_kit import Kaged


@pytest.mark.e2e
def test_files_and_folders_of_the_state_are_the_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    (tmp_path / "state").chmod(0o755)
    with Kaged(tmp_path) as kaged:
        agent = kaged.spawn("sleep", "100")
        kaged.wait_state(agent, 3)
        open_to_others = [
            str(path)
            for path in kaged.state.rglob("*")
            if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
        ]
        assert open_to_others == []


@pytest.mark.e2e
def test_an_agent_keeps_the_umask_that_the_daemon_was_started_with(tmp_path: Path) -> None:
    with Kaged(tmp_path, prefix=("sh", "-c", 'umask 022; exec "$@"', "sh")) as kaged:
        agent = kaged.spawn("sh", "-c", "umask; touch made")
        assert kaged.wait(agent).outcome.exit_code == 0
        assert kaged.output(agent).strip() == b"0022"
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o644
