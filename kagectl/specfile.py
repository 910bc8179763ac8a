"""Spec files (TOML or JSON) to the shapes of the API. The format is documented in docs/kagectl.md.

A reader takes what it knows out of a table and refuses what is left over, with the path of the key and the
nearest known one: a typing error is never silently ignored. Amounts may be written as people do ("30s",
"512MiB") or as numbers (seconds, bytes).
"""

import difflib
from collections.abc import Callable, Mapping
from typing import TypeVar

from kagectl import guards, loops
from kagectl.errors import Complaint
from kagectl.quantities import duration_s, size_bytes, span_s
from kagectl.specs import CAPTURES, FULL_POLICIES, RESTARTS, STDINS, words
from kagectl.workspaces import KINDS as WORKSPACES
from kaged.api.v1 import goal_pb2
from kaged.api.v1 import spec_pb2 as pb
from kaged.api.v1 import supervisor_service_pb2 as trees

T = TypeVar("T")

STRATEGIES = {
    "one_for_one": trees.STRATEGY_ONE_FOR_ONE,
    "one_for_all": trees.STRATEGY_ONE_FOR_ALL,
    "rest_for_one": trees.STRATEGY_REST_FOR_ONE,
}
AUTO_SHUTDOWNS = {
    "never": trees.AUTO_SHUTDOWN_NEVER,
    "any_significant": trees.AUTO_SHUTDOWN_ANY_SIGNIFICANT,
    "all_significant": trees.AUTO_SHUTDOWN_ALL_SIGNIFICANT,
}


class Table:
    """One table of a document. Every `take` removes a key; `close` refuses what nobody took."""

    def __init__(self, data: object, *, path: str) -> None:
        if not isinstance(data, Mapping):
            raise Complaint(f"{path or 'the file'}: expected a table")
        self._left = dict(data)
        self._known: list[str] = []
        self.path = path

    def at(self, key: str) -> str:
        """The path of a key, for messages."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, read: Callable[[object, str], T], default: T) -> T:
        """The value of `key` through `read(value, path)`, or `default`."""
        self._known.append(key)
        if key not in self._left:
            return default
        return read(self._left.pop(key), self.at(key))

    def has(self, key: str) -> bool:
        """Whether `key` is there and was not taken."""
        return key in self._left

    def table(self, key: str) -> "Table | None":
        """The table under `key`, if there."""
        return self.take(key, lambda value, path: Table(value, path=path), None)

    def close(self) -> None:
        """Refuse keys that nobody knows."""
        for key in self._left:
            near = difflib.get_close_matches(str(key), self._known, 1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(self._known))
            raise Complaint(f"{self.at(str(key))}: no such setting", hint=hint)


def text(value: object, path: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise Complaint(f"{path}: expected a text")
    return value


def flag(value: object, path: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Complaint(f"{path}: expected true or false")
    return value


def count(value: object, path: str) -> int:
    """A whole number, not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Complaint(f"{path}: expected a whole number")
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Complaint(f"{path}: expected a number")
    return float(value)


def number_s(value: object, path: str) -> float:
    """Seconds, from a number or a text such as "1m30s"."""
    return duration_s(value, what=path) if isinstance(value, str) else _number(value, path)


def _bytes(value: object, path: str) -> int:
    return size_bytes(value, what=path) if isinstance(value, str) else count(value, path)


def _codes(value: object, path: str) -> list[int]:
    if not isinstance(value, list):
        raise Complaint(f"{path}: expected a list of numbers")
    return [count(each, path) for each in value]


def _texts(value: object, path: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise Complaint(f"{path}: expected a table of texts")
    return {str(key): str(each) for key, each in value.items()}


def choice(choices: Mapping[str, T]) -> Callable[[object, str], T]:
    """A reader of one of the words in `choices`; `-` and `_` are the same."""

    def read(value: object, path: str) -> T:
        if not isinstance(value, str) or value.replace("-", "_") not in {k.replace("-", "_") for k in choices}:
            raise Complaint(f"{path}: expected one of {', '.join(choices)}")
        return next(found for key, found in choices.items() if key.replace("-", "_") == value.replace("-", "_"))

    return read


def agent_spec(table: Table) -> pb.AgentSpec:
    """The settings of one agent. Does not close the table: a tree's child has more keys beside these."""
    nothing: dict[str, str] = {}
    no_words: list[str] = []
    no_codes: list[int] = []
    spec = pb.AgentSpec(
        name=table.take("name", text, ""),
        adapter=table.take("adapter", text, ""),
        command=table.take("command", lambda value, path: words(value, what=path), no_words),
        working_directory=table.take("cwd", text, ""),
        environment=table.take("env", _texts, nothing),
        secret_environment=table.take("secrets", _texts, nothing),
        labels=table.take("labels", _texts, nothing),
        success_exit_codes=table.take("success_exit_codes", _codes, no_codes),
        stdin=table.take("stdin", choice(STDINS), pb.STDIN_MODE_UNSPECIFIED),
        capture=table.take("capture", choice(CAPTURES), pb.CAPTURE_MODE_UNSPECIFIED),
        merge_stderr=table.take("merge_stderr", flag, False),
        goal=table.take("goal", text, ""),
        namespace=table.take("namespace", text, ""),
        priority=table.take("priority", _whole, 0),
        after=table.take("after", lambda value, path: words(value, what=path), no_words),
    )
    if loop := table.table("loop"):
        spec.loop.CopyFrom(goal_loop(loop))
        loop.close()
    if limits := table.table("limits"):
        spec.limits.CopyFrom(
            pb.Limits(
                wall_time_s=limits.take("wall_time", number_s, 0.0),
                idle_s=limits.take("idle", number_s, 0.0),
                output_bytes=limits.take("output", _bytes, 0),
                memory_bytes=limits.take("memory", _bytes, 0),
                cpus=limits.take("cpus", _number, 0.0),
                processes=limits.take("pids", count, 0),
                unsupervised_s=limits.take("unsupervised", number_s, 0.0),
                spool_bytes=limits.take("backlog", _bytes, 0),
                on_full=limits.take("on_full", choice(FULL_POLICIES), pb.FULL_POLICY_UNSPECIFIED),
            )
        )
        limits.close()
    if (place := table.take("workspace", _workspace, None)) is not None:
        spec.workspace.CopyFrom(place)
    if guard := table.table("guard"):
        spec.guard.CopyFrom(_guard(guard))
        guard.close()
    if stop := table.table("stop"):
        spec.stop.signal = stop.take("signal", text, "")
        grace_s = stop.take("grace", number_s, -1.0)
        if grace_s >= 0:
            spec.stop.grace_s = grace_s
        stop.close()
    return spec


def _workspace(value: object, path: str) -> pb.Workspace:
    """`workspace = "worktree"`, or a table with the kind and what goes with it."""
    if isinstance(value, str):
        return pb.Workspace(kind=choice(WORKSPACES)(value, path))
    table = Table(value, path=path)
    no_words: list[str] = []
    place = pb.Workspace(
        kind=table.take("kind", choice(WORKSPACES), pb.WORKSPACE_KIND_UNSPECIFIED),
        repository=table.take("repo", text, ""),
        base=table.take("base", text, ""),
        branch=table.take("branch", text, ""),
        setup=table.take("setup", text, ""),
        cleanup=table.take("cleanup", text, ""),
        copy=table.take("copy", lambda value, path: words(value, what=path), no_words),
    )
    table.close()
    return place


def _guard(table: Table) -> pb.Guard:
    """`[guard]`: the same words as on the command line. Does not close the table."""

    def listed(key: str) -> list[str]:
        no_words: list[str] = []
        return table.take(key, lambda value, path: words(value, what=path), no_words)

    return pb.Guard(
        approve=table.take("approve", choice({level: level for level in guards.LEVELS}), ""),
        rules=guards.rules(listed("allow"), listed("ask"), listed("deny"), what=f"{table.path}."),
        protected_paths=listed("protected"),
        hosts=listed("hosts"),
        answer_within_s=table.take("answer_within", number_s, 0.0),
    )


def goal_loop(table: Table) -> goal_pb2.GoalLoop:
    """`[loop]`: the same words as on the command line. Does not close the table."""
    no_words: list[str] = []
    loop = goal_pb2.GoalLoop(
        success=map(loops.criterion, table.take("until", lambda value, path: words(value, what=path), no_words)),
        any=table.take("any", flag, False),
        check_timeout_s=table.take("check_timeout", number_s, 0.0),
        checkpoint_every=table.take("checkpoint_every", count, 0),
        limits=goal_pb2.GoalLimits(
            iterations=table.take("max_iterations", count, 0),
            tokens=table.take("max_tokens", _tokens, 0),
            cost_microusd=table.take("max_cost", _cost, 0),
            time_s=table.take("max_time", number_s, 0.0),
        ),
    )
    loops.abort(table.take("abort", lambda value, path: words(value, what=path), no_words), loop.abort)
    return loop


def _tokens(value: object, path: str) -> int:
    return loops.tokens(value, what=path) if isinstance(value, str) else count(value, path)


def _cost(value: object, path: str) -> int:
    return loops.cost_microusd(str(value), what=path) if isinstance(value, str) else round(_number(value, path) * 1e6)


def _whole(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Complaint(f"{path}: expected a whole number")
    return value


def restart_policy(table: Table, spec: pb.AgentSpec) -> None:
    """`restart = "on-failure"`, or a table with the type and its figures."""
    restart = table.take("restart", _restart, None)
    if restart is not None:
        spec.restart.CopyFrom(restart)


def _restart(value: object, path: str) -> pb.RestartPolicy:
    if isinstance(value, str):
        return pb.RestartPolicy(type=choice(RESTARTS)(value, path))
    table = Table(value, path=path)
    policy = pb.RestartPolicy(
        type=table.take("type", choice(RESTARTS), pb.RESTART_TYPE_UNSPECIFIED),
        intensity=table.take("intensity", count, 0),
        period_s=table.take("period", number_s, 0.0),
        healthy_after_s=table.take("healthy_after", number_s, 0.0),
    )
    backoff(table, policy)
    table.close()
    return policy


def backoff(table: Table, policy: pb.RestartPolicy) -> None:
    """`backoff = "500ms..60s"` or `"off"`."""
    written = table.take("backoff", text, "")
    if written == "off":
        policy.backoff_off = True
    elif written:
        low_s, high_s = span_s(written, what=table.at("backoff"))
        policy.backoff_initial_s, policy.backoff_max_s = low_s, high_s


def agent_file(data: Mapping[str, object]) -> pb.AgentSpec:
    """A spec file of one agent, for `run -f` and `agent spawn -f`."""
    table = Table(data, path="")
    spec = agent_spec(table)
    restart_policy(table, spec)
    table.close()
    return spec
