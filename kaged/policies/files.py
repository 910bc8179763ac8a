"""Where policies come from: the user's file, the repository's, the environment. Reads, never writes; caches nothing.

    $XDG_CONFIG_HOME/kage/config.toml    the user, and `[namespace.NAME]` in it
    REPOSITORY/.kage/config.toml         may only tighten
    KAGE_GUARD_*                         of the daemon's environment

A repository is the nearest folder upwards that holds `.git` or `.kage`, short of the home and the root: a home that is
a repository does not make everything in it one workspace. Where nobody says anything, nothing is loaded to read it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.guardrails.policy import Ground

PREFIX: Final = "KAGE_GUARD_"


class PolicyFiles:
    """See the module. `environ`: the daemon's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.home = environ.get("HOME", "")

    def ground(self, namespace: str, folder: str) -> Ground:
        """What holds in a folder. Raises PolicyWrong."""
        root = self.repository(folder)
        if not self._said(root):
            return Ground(workspace=root or folder)
        # TOML and its checks: 3 % of a start, and most people have no such file.
        from kaged.policies.reading import DEFAULT, merged  # noqa: PLC0415

        repository = self.repository_file(root) if root else None
        found = merged(self.user_file(), repository, self.environ, namespace)
        approve = found.origin("guard.approve")
        return Ground(policy=found.policy, workspace=root or folder, approve_from="" if approve == DEFAULT else approve)

    def _said(self, root: str) -> bool:
        return (
            os.path.lexists(self.user_file())
            or (bool(root) and os.path.lexists(self.repository_file(root)))
            or any(name.startswith(PREFIX) for name in self.environ)
        )

    def user_file(self) -> Path:
        """Where the user's file is, whether it is there or not."""
        folder = self.environ.get("XDG_CONFIG_HOME") or os.path.join(self.home or "/", ".config")
        return Path(folder) / "kage" / "config.toml"

    def repository_file(self, root: str) -> Path:
        """Where a repository's file is, whether it is there or not."""
        return Path(root) / ".kage" / "config.toml"

    def repository(self, folder: str) -> str:
        """The repository that a folder lies in; empty: none."""
        at = os.path.abspath(folder)
        while at not in ("/", self.home.rstrip("/")):
            if any(os.path.lexists(os.path.join(at, name)) for name in (".git", ".kage")):
                return at
            at = os.path.dirname(at)
        return ""
