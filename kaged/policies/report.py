"""`kaged config show` and `kaged config check`: what holds in a folder, from where, and what is wrong. Needs no daemon.

What it prints is JSON for `kagectl config`, which makes it readable. The environment is that of the caller; a running
daemon has its own.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from kaged.domain.errors import Invalid
from kaged.guardrails.context import PeopleRule
from kaged.guardrails.layers import Effective
from kaged.guardrails.policy_file import PolicyWrong, Value
from kaged.policies.files import PolicyFiles
from kaged.policies.reading import merged

EXIT_WRONG = 2


def main(arguments: Sequence[str]) -> int:
    """Print one JSON object. 0: all is well; 2: a file is wrong, and the object says which."""
    parser = argparse.ArgumentParser(prog="kaged config")
    parser.add_argument("verb", choices=("show", "check"))
    parser.add_argument("--folder", default=os.getcwd())
    parser.add_argument("--namespace", default="default")
    given = parser.parse_args(arguments)
    files = PolicyFiles(dict(os.environ))
    root = files.repository(given.folder)
    places = [str(files.user_file()), *([str(files.repository_file(root))] if root else [])]
    told: dict[str, object] = {
        "files": [{"path": place, "exists": os.path.exists(place)} for place in places],
        "folder": os.path.abspath(given.folder),
        "repository": root,
        "namespace": given.namespace,
    }
    try:
        repository = files.repository_file(root) if root else None
        found = merged(files.user_file(), repository, files.environ, given.namespace)
    except Invalid as error:
        wrong = {"message": str(error), "hint": error.hint}
        if isinstance(error, PolicyWrong):
            wrong |= {"file": error.place, "line": str(error.line), "key": error.key}
        told["wrong"] = wrong
        _say(told)
        return EXIT_WRONG
    told["keys"] = [_plain(effective) for effective in found.keys.values()]
    _say(told)
    return 0


def _say(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")


def _plain(effective: Effective) -> dict[str, object]:
    key = effective.key
    return {
        "key": key.name,
        "value": _value(effective.value),
        "origins": list(effective.origins),
        "variable": key.variable,
        "about": key.what,
    }


def _value(value: Value) -> object:
    if not isinstance(value, tuple):
        return value
    return [_rule(item) if isinstance(item, PeopleRule) else item for item in value]


def _rule(rule: PeopleRule) -> dict[str, object]:
    told: dict[str, object] = {"verdict": rule.verdict}
    told |= {name: value for name in ("tool", "path", "command", "source") if (value := getattr(rule, name))}
    if rule.expires_us:
        told["expires_us"] = rule.expires_us
    return told
