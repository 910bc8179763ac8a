"""Who calls. No call without a token; the socket's folder keeps other users out, the token tells who of this one.

Two doors, two kinds of tokens. The owner's is random, in a file that only the owner can read. An agent's is made from
its run id and the store's key, so that it needs no table, survives a restart, and stops working when its run has
ended. An agent's token is worth nothing at the owner's door.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import grpc

from kaged.domain.errors import Unauthenticated
from kaged.domain.frozen import frozen
from kaged.runtime.engine import OWNER

_BEARER = "Bearer "


@frozen
class Identity:
    """The caller: an actor number, and for an agent which agent and run."""

    actor: int
    agent: str = ""
    run: str = ""


OWNER_IDENTITY = Identity(actor=OWNER)


class TokenInvalid(Unauthenticated):
    """No token, or one that nobody issued."""

    def __init__(self, hint: str) -> None:
        super().__init__("the call carries no valid token", hint=hint)


class OwnerGate:
    """Admits the owner."""

    def __init__(self, token: str, token_file: Path) -> None:
        self._expected = (_BEARER + token).encode()
        self._hint = f"send the content of {token_file} as `authorization: Bearer ...`"

    def admit(self, context: "grpc.aio.ServicerContext[object, object]") -> Identity:
        """The owner. Raises TokenInvalid."""
        self.check(context.invocation_metadata())
        return OWNER_IDENTITY

    def check(self, metadata: "Iterable[tuple[str, str | bytes]] | None") -> None:
        """Return when the owner's token is among a call's metadata. Raises TokenInvalid."""
        for key, value in metadata or ():
            if key == "authorization" and hmac.compare_digest(_bytes(value), self._expected):
                return
        raise TokenInvalid(self._hint)


class AgentGate:
    """Admits agents whose run is live."""

    def __init__(self, key: bytes, live: Callable[[str], Identity | None]) -> None:
        self._key = key
        self._live = live

    def admit(self, context: "grpc.aio.ServicerContext[object, object]") -> Identity:
        """The agent of the token. Raises TokenInvalid."""
        for name, value in context.invocation_metadata() or ():
            if name == "authorization":
                run, _, _ = _bytes(value).decode("utf-8", "replace").removeprefix(_BEARER).rpartition(":")
                expected = (_BEARER + run_token(self._key, run)).encode()
                identity = self._live(run)
                if hmac.compare_digest(_bytes(value), expected) and identity is not None:
                    return identity
        raise TokenInvalid("use the file that KAGE_TOKEN_FILE names; it ends with its run")


def run_token(key: bytes, run: str) -> str:
    """The token of a run."""
    return f"{run}:{hmac.new(key, b'run ' + run.encode(), sha256).hexdigest()}"


def secret_file(path: Path) -> str:
    """The secret in a file of mode 0600; made when it is not there."""
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        secret = secrets.token_hex(32)
        draft = path.with_name(path.name + ".tmp")
        draft.touch(mode=0o600)
        draft.write_text(secret + "\n", "ascii")
        draft.rename(path)
        return secret


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
