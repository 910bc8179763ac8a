"""JSON-RPC 2.0, one object a line, both ways: what `codex` and `acp` share. Pure.

Ids of our requests say what they asked for: 1 is the greeting, 2 opens the session, 3 and more are prompts. An
agent's request waits for a person or is refused at once; the keys of questions hold all that an answer needs.
"""

import json
from abc import abstractmethod
from typing import ClassVar, Final

from kaged.adapters.wire import fields
from kaged.adapters.wire.clipping import Json, clip_json, clip_text
from kaged.adapters.wire.failures import by_text
from kaged.adapters.wire.fields import Line
from kaged.adapters.wire.hearing import Hearing, as_line
from kaged.domain.signals import Ask, FailureWord

HELLO: Final = 1
SESSION: Final = 2
PROMPT: Final = 3
METHOD_NOT_FOUND: Final = -32601


class RpcHearing(Hearing):
    """One call of `feed`. A subclass handles requests, notifications and answers."""

    versioned: ClassVar[bool] = True  # whether messages carry "jsonrpc": "2.0"

    def understand(self, message: Line) -> bool:
        method = message.get("method")
        given = message.get("params")
        params: Line = given if isinstance(given, dict) else {}
        if isinstance(method, str):
            if "id" in message:
                self._request(method, params, message)
                return True
            return self.notified(method, params)
        if "id" not in message:
            return False
        error, result = message.get("error"), message.get("result")
        number = fields.count(message, "id")
        if isinstance(error, dict):
            said = fields.text(error, "message") or "refused"
            code = error.get("code")
            self.refused(number, said, clip_json(error), code if isinstance(code, int) else 0)
        else:
            self.answered(number, result if isinstance(result, dict) else {})
        return True

    def kind_of(self, message: Line) -> str:
        return fields.word(message, "method")

    def _request(self, method: str, params: Line, message: Line) -> None:
        given = message["id"]
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise ValueError("a request that cannot be answered")
        ask = self.asked(method, given, params)
        if ask is None:
            self.send(refusal(given, f"Kage has no {method}"))
            self.hear("unknown", text=clip_text(method, 256), data_json=clip_json(dict(message)))
        elif not _usable(ask.key):
            self.send(self.declined(given, method))
            self.hear("error", text=f"denied at once, it cannot be given back: {clip_text(ask.title, 1 << 10)}")
        else:
            self.memory.add("asks", json.dumps(given)[:256], ask.key)
            self.ask(ask)

    def send(self, message: dict[str, Json]) -> None:
        """To the agent."""
        self.sends.append(as_line({"jsonrpc": "2.0", **message} if self.versioned else message))

    def withdrawn(self, given: Json) -> None:
        """The agent does not wait for the answer to this id any more. A question that was answered is left alone."""
        self.unask(self.memory.drop("asks", json.dumps(given)[:256]))

    def all_withdrawn(self) -> None:
        """Nor for any other."""
        for given in self.memory.map("asks"):
            self.unask(self.memory.drop("asks", given))

    # --- for a protocol to say -----------------------------------------------------------------------------------

    @abstractmethod
    def notified(self, method: str, params: Line) -> bool:
        """Something happened; False: not known."""

    @abstractmethod
    def asked(self, method: str, given: int | str, params: Line) -> Ask | None:
        """The question that a request is; None: nobody here can answer it."""

    @abstractmethod
    def declined(self, given: int | str, method: str) -> dict[str, Json]:
        """How to say no to a request without asking."""

    @abstractmethod
    def answered(self, number: int, result: Line) -> None:
        """The answer to a request of ours."""

    @abstractmethod
    def lost(self, said: str) -> bool:
        """Whether a refusal to go on with the session means that there is no such session any more."""

    def failure(self, code: int, said: str) -> FailureWord:
        """Why a request of ours failed."""
        return by_text(said)

    def refused(self, number: int, said: str, error_json: str, code: int) -> None:
        """A request of ours failed: without a session there is nothing to wait for."""
        failure = self.failure(code, said)
        # Who cannot use the account now has not lost the session.
        if number == SESSION and self.task.session and failure not in ("auth", "rate_limit") and self.lost(said):
            self.hear("session.lost", text=said, data_json=error_json)
        if number >= HELLO:
            self.turn_ends("error", said, error_json, failure)
            if number >= PROMPT:
                self.turn_over("error")
            else:  # nobody can speak with it: there is no other turn to wait for
                self.done = self.done or bool(self.task.goal)
        else:
            self.hear("error", text=said, data_json=error_json)


def request(number: int, method: str, params: dict[str, Json]) -> dict[str, Json]:
    """A request of ours."""
    return {"id": number, "method": method, "params": params}


def result(given: Json, value: dict[str, Json]) -> dict[str, Json]:
    """The answer to a request of the agent's."""
    return {"id": given, "result": value}


def refusal(given: Json, why: str) -> dict[str, Json]:
    """A request that nobody here can answer."""
    return {"id": given, "error": {"code": METHOD_NOT_FOUND, "message": clip_text(why, 1 << 10)}}


def key_of(*parts: Json) -> str:
    """What an answer needs, as a question's key."""
    return json.dumps(parts, separators=(",", ":"))


def parts_of(key: str) -> list[Json]:
    """The same again; empty for a key that is not ours."""
    try:
        parts: Json = json.loads(key)
    except (ValueError, RecursionError):
        return []
    return parts if isinstance(parts, list) else []


def _usable(key: str) -> bool:
    return 0 < len(key) <= fields.MAX_KEY_BYTES
