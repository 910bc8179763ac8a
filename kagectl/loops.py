"""What people write about a goal's loop, as the API's shapes: criteria, aborts, amounts of money and tokens. Pure.

cmd: make test · file-exists: PATH · file-contains: PATH PATTERN · output: PATTERN · tests · agent-says-done
"""

import re
from collections.abc import Iterable

from kagectl.errors import Complaint
from kagectl.quantities import duration_s
from kaged.api.v1 import goal_pb2 as pb

CRITERIA = "cmd: LINE, file-exists: PATH, file-contains: PATH PATTERN, output: PATTERN, tests, agent-says-done"
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKmMgG]?)")
_COST = re.compile(r"\$?\s*([0-9]+(?:\.[0-9]+)?)\s*(usd|\$|ct|cent|cents)?", re.IGNORECASE)
_POWERS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_MICRO = 1_000_000


def criterion(text: str) -> pb.Criterion:
    """One way to recognise that the goal is reached. Raises Complaint."""
    kind, separator, rest = text.partition(":")
    rest = rest.strip()
    match kind.strip().lower().replace("_", "-"):
        case "tests" if not rest:
            return pb.Criterion(tests=True)
        case "agent-says-done" if not rest:
            return pb.Criterion(agent_says_done=True)
        case "cmd" | "command" if rest:
            return pb.Criterion(command=rest)
        case "file-exists" if rest:
            return pb.Criterion(file_exists=rest)
        case "file-contains" if len(parts := rest.split(None, 1)) == 2:
            return pb.Criterion(file_contains=pb.FileContains(path=parts[0], pattern=parts[1]))
        case "output" if rest:
            return pb.Criterion(output_matches=rest)
        case _:
            hint = f"to run it as a check: --until 'cmd: {text}'" if not separator else f"known are {CRITERIA}"
            raise Complaint(f"--until {text!r}: not a criterion", hint=hint)


def written(found: pb.Criterion) -> str:
    """A criterion as people write it."""
    match found.WhichOneof("kind"):
        case "command":
            return f"cmd: {found.command}"
        case "file_exists":
            return f"file-exists: {found.file_exists}"
        case "file_contains":
            return f"file-contains: {found.file_contains.path} {found.file_contains.pattern}"
        case "output_matches":
            return f"output: {found.output_matches}"
        case "tests":
            return "tests"
        case "agent_says_done":
            return "agent-says-done"
        case _:
            return "a criterion of a newer release"


def abort(texts: Iterable[str], into: pb.AbortCriteria) -> None:
    """`errors: 3`, `repeats: 3`, `no-progress: 5` (0: never), `output: PATTERN`, or `never`. Raises Complaint."""
    for text in texts:
        kind, _, rest = text.partition(":")
        word, rest = kind.strip().lower().replace("-", "_"), rest.strip()
        if word == "never" and not rest:
            into.errors = into.repeats = into.no_progress = 0
        elif word in ("errors", "repeats", "no_progress") and rest.isdigit():
            setattr(into, word, int(rest))
        elif word == "output" and rest:
            into.output_matches = rest
        else:
            raise Complaint(
                f"--abort {text!r}: not known",
                hint="known are errors: N, repeats: N, no-progress: N, output: PATTERN, never",
            )


def tokens(text: str, *, what: str) -> int:
    """`200k`, `1.5M`, `50000`. Raises Complaint."""
    found = _COUNT.fullmatch(text.strip())
    if not found:
        raise Complaint(f"{what} looks like 200k, 1.5M or 50000, not {text!r}")
    return round(float(found[1]) * _POWERS[found[2].lower()])


def cost_microusd(text: str, *, what: str) -> int:
    """`5usd`, `$0.50`, `50ct`, `5`. Raises Complaint."""
    found = _COST.fullmatch(text.strip())
    if not found:
        raise Complaint(f"{what} looks like 5usd, $0.50 or 50ct, not {text!r}")
    cents = (found[2] or "").lower().startswith("c")
    return round(float(found[1]) * _MICRO / (100 if cents else 1))


def limits(
    into: pb.GoalLimits,
    *,
    iterations: int | None,
    tokens_text: str | None,
    cost: str | None,
    time: str | None,
    option: str,
) -> None:
    """Amounts of `--max-…` or `--add-…` (`option`). Raises Complaint."""
    if iterations is not None:
        into.iterations = iterations
    if tokens_text:
        into.tokens = tokens(tokens_text, what=f"--{option}-tokens")
    if cost:
        into.cost_microusd = cost_microusd(cost, what=f"--{option}-cost")
    if time:
        into.time_s = duration_s(time, what=f"--{option}-time")
