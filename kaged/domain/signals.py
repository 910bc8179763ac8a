"""What an adapter can hear from an agent, and what it gives back for a piece of output. Pure."""

from typing import Final, Literal, TypeAlias

from kaged.domain.frozen import frozen

SignalKind = Literal[
    "session.started",
    "session.lost",
    "turn.started",
    "turn.ended",
    "message",
    "thinking",
    "plan",
    "tool.requested",
    "tool.started",
    "tool.finished",
    "file.edited",
    "subagent",
    "rate_limit",
    "usage",
    "progress",
    "error",
    "log",
    "unknown",
    "garbled",
]


BY_RULE: Final = "A rule refused this"
"""How the note begins with which a rule, and no person, refuses: for adapters that put words around it."""

FAILED_TURNS: Final = frozenset({"error", "refusal", "max_tokens", "max_turns", "max_turn_requests", "max_budget"})
"""Outcomes of a turn in which the work was not brought to its end, in the words of all adapters."""


FailureWord = Literal["", "auth", "rate_limit", "context_exhausted", "other"]
"""Why a turn failed, by what is to be done about it: let a person sign in, wait, begin another session, try again."""


@frozen
class Heard:
    """Something that the agent said or did. Stored as an event of type `signal.{kind}`.

    `call` is the tool call that it belongs to, `parent` the call that started the subagent that speaks.
    """

    kind: SignalKind
    text: str = ""
    data_json: str = ""
    tool: str = ""
    call: str = ""
    outcome: str = ""
    turn: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    native_session: str = ""
    parent: str = ""
    resets_us: int = 0  # when a limit ends, in microseconds since 1970 UTC; 0: not told
    failure: FailureWord = ""  # of a turn that failed: why, if the agent tells


@frozen
class Ask:
    """The agent asks before it acts (`action`) or wants to know something (`question`). `key` is its own."""

    key: str
    kind: Literal["action", "question"] = "action"
    title: str = ""
    tool: str = ""
    data_json: str = ""
    why: str = ""
    timeout_s: float = 0


@frozen
class Unask:
    """The agent does not want the answer to this key any more."""

    key: str


Signal: TypeAlias = Heard | Ask | Unask


@frozen
class Fed:
    """What came of a piece of output.

    `consumed` bytes of it are turned into signals and will not be seen again; the rest comes back with what
    follows it. `state` is what the adapter must remember, at most 8 KiB. `sends` go to the agent's input.
    `done`: what it was given to do has come to an end, and nothing else will be asked of it: its input
    ends after `sends`.
    """

    state: bytes
    consumed: int
    signals: tuple[Signal, ...] = ()
    sends: bytes = b""
    done: bool = False
