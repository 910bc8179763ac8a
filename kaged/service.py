"""Talking to the service manager through sd_notify. Says nothing when there is none.

The library sends Latin-1 and swallows errors, so texts are ASCII and READY goes alone.
"""

import sdnotify


class ServiceManager:
    """The manager that started us, if any."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()

    def ready(self) -> None:
        """Recovery is done, the doors are open."""
        self._notifier.notify("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._notifier.notify("STATUS=" + text.encode("ascii", "replace").decode("ascii"))

    def stopping(self) -> None:
        """On the way out; final."""
        self._notifier.notify("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Still recovering: do not give up on us yet."""
        self._notifier.notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """The watchdog's sign of life: only after a commit and a turn of the loop."""
        self._notifier.notify("WATCHDOG=1")
