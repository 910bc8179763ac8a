"""kaged as it runs where there is neither inotify nor /proc, pidfd, prctl or fallocate: for tests of what stands in.

Started in place of `python -m kaged`. Everything that macOS would run is run, but for three calls: locks (struct flock
differs), sysctl (its answers are made from /proc here) and F_PUNCHHOLE. Deliberately not here: launchd.
"""

import os
import re
import signal
import sys
import tempfile
from pathlib import Path


class Kernel:
    """What macOS' sysctl would say, told by this machine's /proc."""

    def by_name(self, name: bytes) -> bytes:
        """`kern.bootsessionuuid` only."""
        assert name == b"kern.bootsessionuuid"
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip() + b"\0"

    def arguments(self, pid: int) -> bytes:
        """KERN_PROCARGS2."""
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return len(words).to_bytes(4, "little") + words[0] + b"\0\0" + b"\0".join(words) + b"\0" + environment + b"\0"


def bare_shim(folder: Path) -> Path:
    """A folder with the shim, in which Linux' own things are gone. Locks stay: they are how a run is known to live."""
    import kaged.shim

    text = Path(kaged.shim.__path__[0], "shim.py").read_text("utf-8")
    boot = Kernel().by_name(b"kern.bootsessionuuid")[:-1].decode()
    for what, instead, at_least in (
        (r'"/proc(?=[/"])', '"/nowhere', 9),
        (r"^LINUX = .*$", "LINUX = False", 1),
        (r"    if LINUX:  # short type", "    if True:  # short type", 1),  # struct flock is Linux' own after all
        (r"^import posix$", "import posix\n\nvars(posix).pop('pidfd_open', None)", 1),
        (r"(def prctl\(.*\n)", r"\1    return False\n", 1),
        (r"(def boot_id\(.*\n)", rf"\1    return {boot!r}\n", 1),
    ):
        text, count = re.subn(what, instead, text, flags=re.MULTILINE)
        assert count >= at_least, f"{what} is no longer in the shim"
    (folder / "shim.py").write_text(text, "utf-8")
    return folder


def main() -> int:
    """Take it all away, then be kaged."""
    del os.pidfd_open, signal.pidfd_send_signal

    import kaged.machine.here as here
    from kaged.machine.macos import TABLE, Macos

    here.HERE = Macos(Kernel(), TABLE)  # type: ignore[misc]  # before anybody has imported it

    import kaged.executors.watch as watch

    watch.watch_folders = watch.StatWatch

    import kaged.executors.punch as punch
    import kaged.executors.run_folder as run_folder

    def no_holes(fd: int, start: int, length: int) -> None:
        raise OSError(95, "not here")

    punch.punch_hole = no_holes
    run_folder._set_aside = lambda fd, size: None

    import kaged.shim

    with tempfile.TemporaryDirectory() as folder:
        kaged.shim.__path__ = [str(bare_shim(Path(folder)))]
        from kaged.cli import main as serve

        return serve()


if __name__ == "__main__":
    sys.exit(main())
