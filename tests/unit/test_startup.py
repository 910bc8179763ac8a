"""A start loads what READY needs, and nothing that was measured to be dear and not needed."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

# each with what it costs a start
NOT_NEEDED = {
    "ssl": "OpenSSL, 4 %",
    "kaged.offline": "fsck and reindex, 2 %",
    "tomllib": "only with a kaged.toml, 2 %",
    "grpc_reflection.v1alpha.reflection": "made at the first call, 1 %",
    "importlib.resources": "1 %",
    "uuid": "brings `platform` along, 2 %",
    "google.protobuf.internal.python_message": "protobuf in pure Python, 4 %",
    "google.protobuf.text_format": "with it",
}


def test_importing_the_daemon_leaves_alone_what_a_start_does_not_need() -> None:
    program = f"import sys, kaged.cli; print([name for name in {sorted(NOT_NEEDED)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_kagectl_shows_agents_without_protobuf_in_pure_python_and_whoever_wants_that_gets_it() -> None:
    program = """
        import sys, kagectl.main, kagectl.commands.agent.listing, kagectl.client.quick
        from kaged.api.v1 import agent_service_pb2, event_pb2
        print([name for name in ("google.protobuf.internal.python_message", "grpc", "ssl") if name in sys.modules])
        from google.protobuf import text_format
        from google.protobuf.internal.python_message import GeneratedProtocolMessageType
        print(text_format.MessageToString(event_pb2.Meta(stream="notes/a")), GeneratedProtocolMessageType.__name__)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == '[]\nstream: "notes/a"\n GeneratedProtocolMessageType\n'


def test_grpc_has_no_fork_handlers_and_ssl_is_there_for_whoever_wants_it() -> None:
    program = "import kaged.cli, os, ssl, asyncio; print(os.environ['GRPC_ENABLE_FORK_SUPPORT'], ssl.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0 ssl\n"


@pytest.mark.parametrize(
    ("installed", "wanted", "loop"),
    [(False, "", "_UnixSelectorEventLoop"), (True, "", "Fast"), (True, "asyncio", "_UnixSelectorEventLoop")],
)
def test_uvloop_is_taken_when_it_is_installed_and_not_refused(
    tmp_path: Path, installed: bool, wanted: str, loop: str
) -> None:
    twin = "import asyncio\nclass Fast(asyncio.SelectorEventLoop): pass\nnew_event_loop = Fast\n"
    (tmp_path / "uvloop.py").write_text(twin if installed else "raise ImportError\n")
    program = """
        import asyncio, gc, kaged.cli
        async def main():
            print(type(asyncio.get_running_loop()).__name__, gc.isenabled(), gc.get_freeze_count() > 1000)
            return 7
        print(kaged.cli.startup.run(main()))
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "KAGED_LOOP": wanted},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"{loop} True True\n7\n"
