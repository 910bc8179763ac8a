"""Which snapshots of an agent a repository has, with when and why. Reads only.

Not here: how they are taken (`snapshot.py`) and come back (`restore.py`).
"""

from pathlib import Path

from kaged.domain.workspace import KeptSnapshot
from kaged.workspace.git import Git
from kaged.workspace.snapshot import ref_of

_LINE = "%(refname:lstrip=4)%00%(objectname)%00%(committerdate:unix)%00%(contents:subject)"


def checkpoints(git: Git, git_dir: Path, agent: str) -> list[KeptSnapshot]:
    """All of them, the oldest first; refs that somebody else put there are left out. Raises GitFailed."""
    done = git.run(git_dir, "for-each-ref", f"--format={_LINE}", f"refs/kage/snapshots/{agent}/", git_dir=git_dir)
    found = []
    for line in done.out.decode("utf-8", "replace").splitlines():
        number, commit, taken, why = line.split("\0")
        if number.isdigit() and taken.isdigit():
            ref = ref_of(agent, int(number))
            found.append(KeptSnapshot(number=int(number), ref=ref, commit=commit, taken_s=int(taken), why=why))
    return sorted(found, key=lambda each: each.number)
