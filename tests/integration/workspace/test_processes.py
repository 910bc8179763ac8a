"""Children for workspaces: fed, bounded in time, ended as a group, whatever they leave behind."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from kaged.domain.workspace import Cancelled
from kaged.workspace.process import run_child
from tests.fakes.runs import eventually

pytestmark = pytest.mark.integration
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def test_a_child_that_reads_late_gets_all_of_a_large_input() -> None:
    data = b"x" * (4 << 20)
    done = run_child(["sh", "-c", "sleep 0.3; wc -c"], environment=ENVIRONMENT, data=data, timeout_s=30)
    assert int(done.out) == len(data)


def test_a_child_that_prints_much_while_it_is_waited_for_is_read_to_the_end() -> None:
    line = "i=0; while [ $i -lt 8 ]; do head -c 1000000 /dev/zero; sleep 0.05; i=$((i+1)); done"
    done = run_child(["sh", "-c", line], environment=ENVIRONMENT, timeout_s=30)
    assert (done.code, len(done.out), done.late) == (0, 8_000_000, False)


def test_a_child_is_killed_with_all_of_its_group_at_its_time(tmp_path: Path) -> None:
    line = f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
    done = run_child(["sh", "-c", line], environment=ENVIRONMENT, timeout_s=0.3)
    assert done.late
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")

    def ended() -> bool:  # killed already; a busy kernel takes a moment to end it
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    eventually(ended, "the end of what it started")


def test_output_that_somebody_keeps_open_holds_nobody_up_when_it_goes_to_a_file() -> None:
    with tempfile.TemporaryFile() as output:
        done = run_child(
            ["sh", "-c", "echo ready; sleep 3 & exit 4"], environment=ENVIRONMENT, into=output, timeout_s=30
        )
        output.seek(0)
        assert (done.code, output.read()) == (4, b"ready\n")


def test_a_wish_to_cancel_ends_it_within_a_moment() -> None:
    with pytest.raises(Cancelled):
        run_child(["sleep", "1000"], environment=ENVIRONMENT, timeout_s=1000, cancelled=lambda: True)
