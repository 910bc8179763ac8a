"""Reading policy files: bytes to layers, layers to what holds. Loaded when there is something to read."""

from pathlib import Path
from typing import Final

from kaged.guardrails import layers
from kaged.guardrails.layers import Merged, merge
from kaged.guardrails.policy_file import Layer, PolicyWrong, from_environment, read
from kaged.policies.files import PolicyFiles

MAX_FILE_BYTES: Final = 1 << 20
DEFAULT: Final = layers.DEFAULT


def merged(files: PolicyFiles, namespace: str, folder: str) -> Merged:
    """All that holds in a folder, with its origins. Raises PolicyWrong."""
    root = files.repository(folder)
    found = [_layer(files.user_file(), namespaces=True)]
    if root:
        found.append(_layer(files.repository_file(root), tightens=True))
    return merge((*found, from_environment(files.environ)), namespace)


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
