"""kaged and kagectl as a user has them: two programs and a state folder.

The daemon is killed by its pid with SIGKILL, never asked. `stop` is for the end: it stops agents too.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BIN = Path(sys.executable).parent


class Service:
    """One state folder and the daemon that serves it, if one runs."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.socket = state / "run" / "kaged.sock"
        self.log = state / "kaged.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start a daemon; its pid. It may not serve yet."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [str(BIN / "kaged"), "--state-dir", str(self.state), "--socket", str(self.socket)]
        with self.log.open("ab") as log:
            # A dead man's switch: should the demo itself be killed, agents end soon after.
            environment = {**os.environ, "KAGED_UNSUPERVISED_S": "60"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the daemon that was started is alive."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9, and nothing else."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ctl(self, *arguments: str, check: bool = True) -> str:
        """Run kagectl; what it printed. Raises RuntimeError with its own words when it fails."""
        environment = {key: value for key, value in os.environ.items() if key not in ("KAGE_RUN_ID", "KAGE_TOKEN_FILE")}
        environment["KAGE_SOCKET"] = str(self.socket)
        command = [str(BIN / "kagectl"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"kagectl {' '.join(arguments[:3])}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """Stop agents and daemon; starts the daemon for it when it is not there. Never raises for a late one."""
        if not self.socket.parent.exists():
            return
        if not self.runs:
            self.start()
        self.ctl("daemon", "stop", "--stop-agents", "--within", "10s", check=False)
        if self._process is not None:
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def shown(arguments: Sequence[str]) -> str:
    """A kagectl command as a person would type it."""
    return "kagectl " + shlex.join(arguments)
