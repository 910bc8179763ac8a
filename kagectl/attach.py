"""Our standard input and terminal, passed on to an agent: `run -i` and `run -t`.

Input is read in its own thread and sent in order, each piece exactly once (SendInput is repeatable). The
terminal is put into raw mode while attached, always restored, and its size goes along on every change.
Ctrl-P Ctrl-Q leaves; the agent goes on.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from types import FrameType

from kagectl.client.failures import ClientError
from kagectl.client.line import Line
from kagectl.client.methods.agents import RESIZE_TERMINAL, SEND_INPUT
from kagectl.errors import Complaint
from kaged.api.v1 import agent_service_pb2 as pb
from kaged.api.v1 import spec_pb2

with contextlib.suppress(ImportError):  # Windows has neither: what needs them says so
    import termios
    import tty

READ_BYTES = 64 * 1024
LEAVE = b"\x10\x11"  # Ctrl-P Ctrl-Q
_LOOK_S = 0.2  # how soon the reader notices that the agent has ended


class Terminal:
    """The terminal that we were started on. `left` turns true when the person asks to leave."""

    def __init__(self) -> None:
        self.left = False
        self._saved: list[object] | None = None
        self._before: object = None

    def size(self) -> spec_pb2.TerminalSize:
        """Its size now."""
        columns, rows = os.get_terminal_size(sys.stdin.fileno())
        return spec_pb2.TerminalSize(rows=rows, columns=columns)

    def enter(self, client: Line, agent: str) -> None:
        """Raw mode; changes of size are passed on from now on."""
        if not hasattr(signal, "SIGWINCH"):
            raise Complaint("a terminal cannot be passed on from this system", hint="leave -t away")
        self._saved = termios.tcgetattr(sys.stdin.fileno())
        tty.setraw(sys.stdin.fileno())

        def resized(number: int, frame: FrameType | None) -> None:
            # From a thread: a signal may come while the main thread holds a lock of the channel.
            threading.Thread(target=self._resize, args=(client, agent), daemon=True).start()

        self._before = signal.signal(signal.SIGWINCH, resized)

    def _resize(self, client: Line, agent: str) -> None:
        with contextlib.suppress(ClientError):  # it has ended; what follows says so
            client.call(RESIZE_TERMINAL, pb.ResizeTerminalRequest(agent=agent, size=self.size()))

    def leave(self) -> None:
        """The terminal as it was."""
        if self._saved is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]  # what tcgetattr gave
            self._saved = None


def feed_stdin(client: Line, agent: str, done: threading.Event, terminal: Terminal | None) -> None:
    """Pass standard input on until it ends, the agent ends, or the person leaves."""
    source = sys.stdin.fileno()
    held = b""
    while not done.is_set():
        ready, _, _ = select.select([source], [], [], _LOOK_S)
        if not ready:
            continue
        data = os.read(source, READ_BYTES)
        if terminal is not None:
            data = held + data
            if LEAVE in data:
                terminal.left = True
                os.kill(os.getpid(), signal.SIGINT)
                return
            held = data[-1:] if data.endswith(LEAVE[:1]) else b""
            data = data[: len(data) - len(held)]
            if not data:
                continue
        try:
            client.call(SEND_INPUT, pb.SendInputRequest(agent=agent, data=data, eof=not data))
        except ClientError:
            return  # it has ended or takes no input any more; its own end is what is reported
        if not data:
            return
