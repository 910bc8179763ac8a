"""The table `[notify]` of a configuration: read, or refused by its key. Pure; loaded only where there is one."""

import ipaddress
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from kaged.domain.errors import Invalid
from kaged.domain.notice import REASONS, Notifying, Reason
from kaged.domain.quantities import parse_duration_limit_us

_KEYS: Final = ("command", "desktop", "webhook", "reasons", "timeout")
_MAX_TIMEOUT_S: Final = 300.0


def parse_notifying(value: object, where: str) -> Notifying:
    """The table `[notify]`. Raises Invalid naming the key."""
    if not isinstance(value, Mapping):
        raise Invalid(
            (where, "must be a table"), hint='[notify] with command = "...", desktop = true or webhook = "..."'
        )
    table = cast("Mapping[str, object]", value)
    for key in table:
        if key not in _KEYS:
            raise Invalid((f"{where}.{key}", "is not a key"), hint=f"known are {', '.join(_KEYS)}")
    command, webhook = _text(table, "command", where), _text(table, "webhook", where)
    desktop = table.get("desktop", False)
    if not isinstance(desktop, bool):
        raise Invalid((f"{where}.desktop", "must be true or false"))
    if webhook and (problem := webhook_problem(webhook)):
        raise Invalid((f"{where}.webhook", f"{webhook!r} {problem}"), hint="http://127.0.0.1:PORT/... or https://...")
    timeout = table.get("timeout", 30)
    limit_us = parse_duration_limit_us(str(timeout), path=f"{where}.timeout")
    if limit_us is None or not 0 < limit_us <= _MAX_TIMEOUT_S * 1e6:
        raise Invalid((f"{where}.timeout", f"must be more than 0 and at most {_MAX_TIMEOUT_S:g} seconds"))
    return Notifying(
        command=command, desktop=desktop, webhook=webhook, reasons=_reasons(table, where), timeout_s=limit_us / 1e6
    )


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or "\0" in value:
        raise Invalid((f"{where}.{key}", "must be a text"))
    return value.strip()


def _reasons(table: Mapping[str, object], where: str) -> tuple[Reason, ...]:
    given = table.get("reasons", list(REASONS))
    if not isinstance(given, list):
        raise Invalid((f"{where}.reasons", "must be a list of texts"), hint=f"known are {', '.join(REASONS)}")
    for each in given:
        if each not in REASONS:
            raise Invalid((f"{where}.reasons", f"{each!r} is no reason"), hint=f"known are {', '.join(REASONS)}")
    return tuple(reason for reason in REASONS if reason in given)


def webhook_problem(url: str) -> str:
    """What is wrong with an address, or an empty text. In the open only to this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is not an address"
    if parts.username is not None or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        return "holds a user or blanks"
    if parts.scheme == "https" or host == "localhost":
        return ""
    try:
        return "" if ipaddress.ip_address(host).is_loopback else "would send what agents do in the open"
    except ValueError:
        return "would send what agents do in the open"
