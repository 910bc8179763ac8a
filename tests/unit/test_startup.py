"""A start loads what READY needs, and nothing that was measured to be dear and not needed."""

import subprocess
import sys

# each with what it costs a start
NOT_NEEDED = {
    "ssl": "OpenSSL, 4 %",
    "kaged.offline": "fsck and reindex, 2 %",
    "tomllib": "only with a kaged.toml, 2 %",
    "grpc_reflection.v1alpha.reflection": "made at the first call, 1 %",
    "importlib.resources": "1 %",
}


def test_importing_the_daemon_leaves_alone_what_a_start_does_not_need() -> None:
    program = f"import sys, kaged.cli; print([name for name in {sorted(NOT_NEEDED)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_grpc_has_no_fork_handlers_and_ssl_is_there_for_whoever_wants_it() -> None:
    program = "import kaged.cli, os, ssl, asyncio; print(os.environ['GRPC_ENABLE_FORK_SUPPORT'], ssl.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0 ssl\n"
