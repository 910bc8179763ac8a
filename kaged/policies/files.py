"""Where policies come from: the user's file, the repository's, the environment. Reads, never writes; caches nothing.

    $XDG_CONFIG_HOME/kage/config.toml    the user, and `[namespace.NAME]` in it
    REPOSITORY/.kage/config.toml         may only tighten
    KAGE_GUARD_*                         of the daemon's environment

A repository is the nearest folder upwards that holds `.git` or `.kage`, short of the home and the root: a home that is
a repository does not make everything in it one workspace.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.guardrails.layers import DEFAULT, Merged, merge
from kaged.guardrails.policy import Ground
from kaged.guardrails.policy_file import Layer, PolicyWrong, from_environment, read

MAX_FILE_BYTES: Final = 1 << 20


class PolicyFiles:
    """See the module. `environ`: the daemon's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.home = environ.get("HOME", "")

    def ground(self, namespace: str, folder: str) -> Ground:
        """What holds in a folder. Raises PolicyWrong."""
        root = self.repository(folder)
        merged = self.merged(namespace, folder)
        approve = merged.origin("guard.approve")
        return Ground(
            policy=merged.policy, workspace=root or folder, approve_from="" if approve == DEFAULT else approve
        )

    def merged(self, namespace: str, folder: str) -> Merged:
        """All that holds in a folder, with its origins. Raises PolicyWrong."""
        return merge(self.layers(folder), namespace)

    def layers(self, folder: str) -> tuple[Layer, ...]:
        """What each place says, from the weakest. Raises PolicyWrong."""
        user, root = self.user_file(), self.repository(folder)
        layers = [_layer(user, namespaces=True)]
        if root:
            layers.append(_layer(Path(root) / ".kage" / "config.toml", tightens=True))
        return (*layers, from_environment(self._environ))

    def user_file(self) -> Path:
        """Where the user's file is, whether it is there or not."""
        folder = self._environ.get("XDG_CONFIG_HOME") or os.path.join(self.home or "/", ".config")
        return Path(folder) / "kage" / "config.toml"

    def repository(self, folder: str) -> str:
        """The repository that a folder lies in; empty: none."""
        at = os.path.abspath(folder)
        while at not in ("/", self.home.rstrip("/")):
            if any(os.path.lexists(os.path.join(at, name)) for name in (".git", ".kage")):
                return at
            at = os.path.dirname(at)
        return ""


def _layer(path: Path, *, namespaces: bool = False, tightens: bool = False) -> Layer:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise PolicyWrong(str(path), 1, "", f"is larger than {MAX_FILE_BYTES} bytes")
        return read(data.decode("utf-8"), str(path), namespaces=namespaces, tightens=tightens)
    except (FileNotFoundError, NotADirectoryError):
        return Layer(place=str(path), tightens=tightens)
    except UnicodeDecodeError as error:
        raise PolicyWrong(str(path), 1, "", f"is not UTF-8: {error.reason}") from None
    except OSError as error:
        raise PolicyWrong(str(path), 0, "", f"cannot be read: {error.strerror}") from None
