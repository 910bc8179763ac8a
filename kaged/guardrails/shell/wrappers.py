"""Programs that start what they are given, as tables: how to get behind each of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kaged.domain.frozen import frozen

SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "yash", "tcsh", "csh"})
PRIVILEGE: Final = frozenset({"sudo", "doas", "su", "runuser", "pkexec", "run0", "sudoedit", "gosu", "su-exec"})


@frozen
class Wrapper:
    """How to get behind a wrapper: its options that take a value, and how many words stand before the command."""

    values: tuple[str, ...] = ()
    before: int = 0
    assigns: bool = False


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "sudo": Wrapper(
            values=("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user", "--group", "--chdir"),
            assigns=True,
        ),
        "doas": Wrapper(values=("-u", "-C", "-a")),
        "pkexec": Wrapper(values=("--user",)),
        "run0": Wrapper(values=("-u", "--user", "-g", "--group", "-D", "--chdir", "--unit", "--slice")),
        "gosu": Wrapper(before=1),
        "su-exec": Wrapper(before=1),
        "nohup": Wrapper(),
        "setsid": Wrapper(),
        "nice": Wrapper(values=("-n", "--adjustment")),
        "ionice": Wrapper(values=("-c", "-n", "-p", "-P", "-u", "--class", "--classdata")),
        "chrt": Wrapper(values=("-T", "-P", "-D"), before=1),
        "taskset": Wrapper(before=1),
        "stdbuf": Wrapper(values=("-i", "-o", "-e", "--input", "--output", "--error")),
        "timeout": Wrapper(values=("-s", "-k", "--signal", "--kill-after"), before=1),
        "time": Wrapper(values=("-f", "-o", "--format", "--output")),
        "builtin": Wrapper(),
        "exec": Wrapper(values=("-a",)),
        "busybox": Wrapper(),
        "toybox": Wrapper(),
        "caffeinate": Wrapper(values=("-t", "-w")),
        "strace": Wrapper(values=("-e", "-o", "-p", "-s", "-u", "-E", "-P", "-a", "-b", "-I", "-O", "-S", "-X")),
        "ltrace": Wrapper(values=("-e", "-o", "-p", "-s", "-u", "-a", "-l", "-n", "-D", "-A", "-F")),
        "chroot": Wrapper(before=1),
        "unshare": Wrapper(values=("-S", "-G", "--setuid", "--setgid", "--root", "-R", "--wd", "-w")),
        "nsenter": Wrapper(values=("-t", "--target", "-S", "-G", "-r", "-w")),
        "systemd-run": Wrapper(
            values=("-p", "--property", "-u", "--unit", "-E", "--setenv", "-M", "--slice", "--uid", "--gid", "-d")
        ),
        "systemd-inhibit": Wrapper(values=("--what", "--who", "--why", "--mode")),
        "firejail": Wrapper(),
        "xvfb-run": Wrapper(values=("-n", "-s", "-f", "-e", "-p", "-w", "-l")),
        "dbus-run-session": Wrapper(),
        "faketime": Wrapper(before=1),
        "proxychains": Wrapper(values=("-f",)),
        "proxychains4": Wrapper(values=("-f",)),
        "torsocks": Wrapper(),
        "npx": Wrapper(values=("-p", "--package")),
        "bunx": Wrapper(),
        "pnpx": Wrapper(),
        "poetry": Wrapper(before=1),
        "uv": Wrapper(before=1),
        "pipenv": Wrapper(before=1),
        "direnv": Wrapper(before=2),
        "xargs": Wrapper(
            values=("-a", "-d", "-E", "-I", "-L", "-n", "-P", "-s", "--arg-file", "--delimiter", "--max-args",
                    "--max-procs", "--replace", "--max-lines", "--max-chars", "--process-slot-var"),
        ),
        "parallel": Wrapper(values=("-j", "--jobs", "-a", "--arg-file", "-I", "-n", "-N", "-L", "--colsep", "-S")),
    }
)  # fmt: skip
RUN_VERBS: Final = {"poetry": "run", "uv": "run", "pipenv": "run", "direnv": "exec"}
FED: Final = frozenset({"xargs", "parallel"})
