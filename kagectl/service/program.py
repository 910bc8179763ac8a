"""Which kaged a service is to start: the one that belongs to this kagectl.

    --program  ->  beside kagectl as it was called  ->  beside the interpreter  ->  on PATH  ->  this Python, `-m kaged`
                   the one file as it was called    ->  the one file

A link is kept as it is: what it points to may move with an upgrade, the link does not. Never the folder that the one
file (docs/one-file.md) was unpacked to: that one belongs to a version.
"""

import os
import shutil
import sys
from collections.abc import Mapping

from kagectl.errors import NOT_FOUND, Complaint


def find_program(
    told: str | None, environ: Mapping[str, str], *, called: str, interpreter: str, one_file: str = ""
) -> tuple[str, ...]:
    """The command of kaged. `called`: how kagectl was (argv[0]); `interpreter`: the Python that runs it;
    `one_file`: the file that carried it here. Raises Complaint: what was told cannot be executed."""
    if told:
        path = os.path.abspath(os.path.expanduser(told))
        if not _runs(path):
            raise Complaint(f"{path} cannot be executed", hint="--program takes the path of kaged", exit_code=NOT_FOUND)
        return (path,)
    beside = shutil.which(called, path=environ.get("PATH")) if os.sep not in called else called
    places = [os.path.dirname(os.path.abspath(beside))] if beside and os.path.basename(beside) == "kagectl" else []
    if one_file and beside and os.path.basename(beside) == "kage":
        return (os.path.abspath(beside), "kaged")
    for folder in [*places, *([] if one_file else [os.path.dirname(interpreter)])]:
        if _runs(path := os.path.join(folder, "kaged")):
            return (path,)
    if one_file:
        return (one_file, "kaged")
    found = shutil.which("kaged", path=environ.get("PATH"))
    return (os.path.abspath(found),) if found else (interpreter, "-m", "kaged")


def this_program(told: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The same for this process."""
    return find_program(told, environ, called=sys.argv[0], interpreter=sys.executable, one_file=_one_file())


def own_kaged() -> list[str]:
    """The kaged of this very release, to start it at once: no link or PATH in between can name another one."""
    beside = os.path.join(os.path.dirname(sys.executable), "kaged")
    return [beside] if _one_file() else [sys.executable, "-m", "kaged"]


def _one_file() -> str:
    return str(sys._xoptions.get("kage_file", ""))


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
