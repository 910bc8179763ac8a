"""A sample of `sweep.py`: the daemon dies as it enters a chosen system call, and nothing is lost or doubled.

`KAGE_SWEEP=20 pytest tests/faults/test_kill_sweep.py` goes through the first 20 calls of each kind.
"""

import os
import shutil
from pathlib import Path

import pytest

from tests.faults import sweep

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]

SAMPLE = (
    ("pwrite64", 1), ("write", 6), ("fdatasync", 4), ("mkdir", 2), ("rename", 1), ("unlink,unlinkat", 2),
    ("vfork,clone,clone3", 1), ("mknodat,mknod", 1), ("flock", 4), ("wait4", 1), ("close", 12), ("openat", 20),
    ("start:pwrite64", 3), ("start:rename,unlink,mkdir", 5), ("start:openat", 600), ("start:flock", 2),
)  # fmt: skip


def test_a_kill_at_any_system_call_loses_and_doubles_nothing(tmp_path: Path) -> None:
    probe = sweep.Kaged(tmp_path / "probe")
    with probe:
        if not _may_trace(probe):
            pytest.skip("tracing other processes is not allowed here")
    deep = int(os.environ.get("KAGE_SWEEP", "0"))
    plan = [(calls, number) for number in range(1, deep + 1) for calls in sweep.CALLS] or list(SAMPLE)
    done, figures = sweep.run(tmp_path / "sweep", plan)
    print(figures)
    assert figures.findings == []
    assert figures.orphans == []
    assert done.killed >= len(plan) // 3


def _may_trace(kaged: sweep.Kaged) -> bool:
    assert kaged.process is not None
    import subprocess

    asked = ["timeout", "-s", "INT", "0.5", "strace", "-qq", "-o", "/dev/null", "-p", str(kaged.process.pid)]
    return b"not permitted" not in subprocess.run(asked, capture_output=True, check=False).stderr
