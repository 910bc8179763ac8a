"""Which kaged a service is to start: the one that belongs to this kagectl.

    --program  ->  beside kagectl as it was called  ->  beside the interpreter  ->  on PATH  ->  this Python, `-m kaged`

A link is kept as it is: what it points to may move with an upgrade, the link does not.
"""

import os
import shutil
import sys
from collections.abc import Mapping

from kagectl.errors import NOT_FOUND, Complaint


def find_program(told: str | None, environ: Mapping[str, str], *, called: str, interpreter: str) -> tuple[str, ...]:
    """The command of kaged. `called`: how kagectl was (argv[0]); `interpreter`: the Python that runs it.
    Raises Complaint: what was told cannot be executed."""
    if told:
        path = os.path.abspath(os.path.expanduser(told))
        if not _runs(path):
            raise Complaint(f"{path} cannot be executed", hint="--program takes the path of kaged", exit_code=NOT_FOUND)
        return (path,)
    beside = shutil.which(called, path=environ.get("PATH")) if os.sep not in called else called
    places = [os.path.dirname(os.path.abspath(beside))] if beside and os.path.basename(beside) == "kagectl" else []
    for folder in [*places, os.path.dirname(interpreter)]:
        if _runs(path := os.path.join(folder, "kaged")):
            return (path,)
    found = shutil.which("kaged", path=environ.get("PATH"))
    return (os.path.abspath(found),) if found else (interpreter, "-m", "kaged")


def this_program(told: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The same for this process."""
    return find_program(told, environ, called=sys.argv[0], interpreter=sys.executable)


def _runs(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
