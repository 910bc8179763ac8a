"""kaged as another release: with a shim from another time, and perhaps the protocol of a time to come.

    python -P other_release.py [flags of kaged]     KAGED_TEST_SHIM: folder of shim.py; KAGED_TEST_PROTOCOL: a number

Run as a program by `test_upgrade.py` in place of `python -m kaged`. Nothing in the package knows these variables.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import kaged.shim
    from kaged.domain import run_records

    kaged.shim.__path__ = [os.environ.pop("KAGED_TEST_SHIM")]
    # before anything else takes it from there
    run_records.PROTOCOL = int(os.environ.pop("KAGED_TEST_PROTOCOL", run_records.PROTOCOL))  # type: ignore[misc]
    from kaged.cli import main

    sys.exit(main())
