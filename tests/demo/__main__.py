"""`python -m tests.demo`: AGENT chooses the kind of agent, KEEP=1 keeps the folder. Exit code 0 is success."""

import asyncio
import os
import sys

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # before grpc is imported: this program starts others

from tests.demo.story import tell

if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(tell(os.environ.get("AGENT") or "scripted")))
    except KeyboardInterrupt:
        sys.exit(130)
