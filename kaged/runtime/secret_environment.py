"""Secret environments: rows of their own beside the journal, so that no event holds a value of them."""

import json
from collections.abc import Mapping

from kaged.store.derived.views import Row
from kaged.store.rows.keyvalue import KeyValue


def secret_rows(agent: str, secrets: Mapping[str, str]) -> list[Row]:
    """The row that keeps an agent's secret environment."""
    if not secrets:
        return []
    return [("secrets", agent.encode(), json.dumps(dict(secrets)).encode())]


def stored_secrets(store: KeyValue, agent: str) -> dict[str, str]:
    """An agent's secret environment."""
    row = store.get("secrets", agent.encode())
    return dict(json.loads(row)) if row else {}
