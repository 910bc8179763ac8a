"""What a person wants to be remembered of a yes. A value of its own, so that a daemon without any loads no rules."""

from typing import Literal

from kaged.domain.frozen import frozen


@frozen
class Wish:
    """For whom and how long (0: until it is removed), and patterns in place of the action itself."""

    scope: Literal["agent", "namespace"] = "agent"
    for_s: float = 0
    command: str = ""
    path: str = ""
