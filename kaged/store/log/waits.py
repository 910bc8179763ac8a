"""Who waits for the journal, and what each hears: durable, stalled by a full disk, or failed. On the loop only.

- `Shared`: one future for all who wait for a commit. It waits for room on a full disk.
- callers of a `Shared`: they would rather be told that the disk is full (`StoreStalled`) than wait.
- `reach`: a position, whatever the commit. `ask`: the same, and False when it has to wait for room.
- `Traffic`: whoever reads much and gives way to what is being appended.
"""

import asyncio
from math import inf

from kaged.domain.errors import KageError, Unavailable


class StoreStalled(Unavailable):
    """The disk is full. Whether what was under way will be recorded is not known yet."""

    reason = "STORE_STALLED"

    def __init__(self, why: KageError) -> None:
        super().__init__(
            f"{why.message}: what was just accepted is recorded as soon as there is room, unless kaged ends before",
            hint="free some space; then repeat it with the same request id (or event id), or look whether it is there",
            retry_after_s=5.0,
        )


class Shared(asyncio.Future[None]):
    """One future for all who wait for a commit, so that one of them cannot cancel it for the others.

    A cancelled waiter hears of it when the commit is done: what it accepted cannot be taken back anyway.
    """

    _callers: "list[asyncio.Future[None]] | None" = None

    def cancel(self, msg: object = None) -> bool:
        return False

    def caller(self) -> "asyncio.Future[None]":
        """A future for one who would rather hear that the disk is full."""
        caller: asyncio.Future[None] = self.get_loop().create_future()
        if self._callers is None:
            self._callers = []
        self._callers.append(caller)
        return caller

    def succeed(self) -> None:
        """The commit is durable."""
        self.set_result(None)
        for caller in self._callers or ():
            if not caller.done():
                caller.set_result(None)

    def stall(self, why: KageError) -> None:
        """The disk has no room: tell the callers; the others wait on."""
        for caller in self._callers or ():
            if not caller.done():
                caller.set_exception(StoreStalled(why))
        self._callers = None

    def fail(self, why: KageError) -> None:
        """It will never be durable."""
        if not self.done():
            self.set_exception(why)
            self.exception()  # mark as seen: not every accept is awaited
        for caller in self._callers or ():
            if not caller.done():
                caller.set_exception(why)


class Waits:
    """Who waits for a position."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._asking: list[tuple[int, asyncio.Future[bool]]] = []

    def reach(self, seq: int) -> "asyncio.Future[None]":
        """Done when everything up to `seq` is durable."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((seq, waiter))
        return waiter

    def ask(self, seq: int) -> "asyncio.Future[bool]":
        """True when everything up to `seq` is durable, False when a full disk holds it up."""
        asker: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asking.append((seq, asker))
        return asker

    def reached(self, durable_seq: int) -> None:
        """Everything up to here is durable."""
        if not self._waiting and not self._asking:
            return
        for seq, waiter in self._waiting:
            if seq <= durable_seq and not waiter.done():
                waiter.set_result(None)
        self._waiting = [item for item in self._waiting if not item[1].done()]
        for seq, asker in self._asking:
            if seq <= durable_seq and not asker.done():
                asker.set_result(True)
        self._asking = [item for item in self._asking if not item[1].done()]

    def stall(self) -> None:
        """The disk has no room."""
        for _, asker in self._asking:
            if not asker.done():
                asker.set_result(False)
        self._asking.clear()

    def fail(self, why: KageError) -> None:
        """Nothing more will be durable."""
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(why)
        self._waiting.clear()
        for _, asker in self._asking:
            if not asker.done():
                asker.set_exception(why)
        self._asking.clear()


class Traffic:
    """Whether a commit is under way, for those who give way to it. On the loop only."""

    def __init__(self) -> None:
        self.busy = False
        self._began_s = -inf
        self._waiting: asyncio.Future[None] | None = None  # shared by all who wait for a pause

    def begins(self, now_s: float) -> None:
        """A batch goes to the writer."""
        self.busy = True
        self._began_s = now_s

    def ends(self) -> None:
        """Nothing is left to be written."""
        self.busy = False
        if self._waiting is not None:
            self._waiting.set_result(None)
            self._waiting = None

    def quiet_s(self, now_s: float) -> float:
        """How long ago the last commit began; without end when there was none."""
        return now_s - self._began_s

    async def pause(self, limit_s: float) -> bool:
        """Return once no commit is under way, at the latest after `limit_s`. False: they came without a pause, or
        a full disk holds them up."""
        if not self.busy:
            return True
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        paused, _ = await asyncio.wait((self._waiting,), timeout=limit_s)
        return bool(paused)
