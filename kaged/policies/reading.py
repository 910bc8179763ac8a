"""Reading policy files: bytes to layers, layers to what holds. Loaded when there is something to read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kaged.guardrails import layers
from kaged.guardrails.layers import Merged, merge
from kaged.guardrails.policy_file import Layer, PolicyWrong, from_environment, read

MAX_FILE_BYTES: Final = 1 << 20
DEFAULT: Final = layers.DEFAULT


def merged(user: Path, repository: Path | None, environ: Mapping[str, str], namespace: str) -> Merged:
    """All that the user's file, a repository's and the environment say, with its origins. Raises PolicyWrong."""
    found = [_layer(user, namespaces=True)]
    if repository is not None:
        found.append(_layer(repository, tightens=True))
    return merge((*found, from_environment(environ)), namespace)


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
