"""All that checks know beforehand: who asks, where things should be, and what the daemon said, if one did.

Looked at once, by `look`, before any check runs. `root` is the file system's, so that a test shows another machine.
"""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kagectl.client.address import Address, find_address, state_dir
from kagectl.client.failures import ClientError
from kagectl.client.methods.daemon import GET_STATUS
from kagectl.client.quick import QuickClient
from kaged.api.v1 import daemon_service_pb2 as pb

ANSWER_S = 5.0  # for the daemon: one that needs longer for its status is not well


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """See the module. `status` None: no daemon answered, and `silence` says why."""

    env: Mapping[str, str]
    uid: int
    platform: str
    state_dir: Path
    address: Address | None = None
    status: pb.DaemonStatus | None = None
    silence: ClientError | None = None
    now_s: float = 0.0
    root: Path = field(default=Path("/"))

    @property
    def linux(self) -> bool:
        """Whether there is a /proc to look at."""
        return self.platform.startswith("linux")

    @property
    def socket(self) -> Path | None:
        """The owner's socket; None when the way to the daemon is a port and no daemon told of its socket."""
        if self.status is not None and self.status.socket:
            return Path(self.status.socket)
        return Path(self.address.socket) if self.address is not None and self.address.port is None else None

    @property
    def agent_path(self) -> str:
        """PATH as agents get it: the daemon's, or ours when there is none to ask."""
        return self.status.agent_path if self.status is not None else self.env.get("PATH", "")

    def read(self, path: str) -> str:
        """A small text file of the machine, such as `proc/mounts`; empty when it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8", "replace")
        except OSError:
            return ""


def look(env: Mapping[str, str], wanted: str | None) -> Scene:
    """The scene of whoever asks. Raises nothing: what does not answer is part of the scene."""
    address: Address | None = None
    status: pb.DaemonStatus | None = None
    silence: ClientError | None = None
    try:
        address = find_address(wanted, env=env)
        with QuickClient(address, timeout_s=ANSWER_S) as client:
            status = client.call(GET_STATUS, pb.GetStatusRequest()).status
    except ClientError as error:
        silence = error
    return Scene(
        env=env,
        uid=os.geteuid() if hasattr(os, "geteuid") else -1,
        platform=sys.platform,
        state_dir=Path(status.state_dir if status is not None and status.state_dir else state_dir(env)),
        address=address,
        status=status,
        silence=silence,
        now_s=time.time(),
    )
