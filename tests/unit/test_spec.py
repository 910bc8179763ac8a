"""What is wrong with a spec is said at the door, all at once, by its place and without a value that may be secret."""

from dataclasses import replace

import pytest

from kaged.domain.spec import AgentSpec, Limits, Terminal, violations

SPEC = AgentSpec(name="x", command=("true",), working_directory="/")
HELD = frozenset(("wall_time_s", "idle_s", "output_bytes"))


def _wrong(**changes: object) -> list[tuple[str, str]]:
    return list(violations(replace(SPEC, **changes), {"command": frozenset()}, HELD))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("name", ["a", "7", "my-agent", "a--b", "a.b_c", "a" * 63])
def test_a_name_that_fits_is_taken(name: str) -> None:
    assert _wrong(name=name) == []


@pytest.mark.parametrize("name", ["", "-", "My", "-a", "a-", ".a", "a\n", "ä", "a b", "a/b", "a" * 64])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    assert [field for field, _ in _wrong(name=name)] == ["spec.name"]


def test_labels_may_be_plain_or_of_a_domain_with_any_printable_value() -> None:
    assert _wrong(labels={"role": "tester", "example.com/team": "", "A_b.c-1": "any text: ü", "long": "x" * 256}) == []


def test_everything_wrong_with_labels_is_said_at_once() -> None:
    labels = {
        "": "a",
        "-x": "b",
        "A.com/x": "c",
        "a/b/c": "d",
        "ok": "e\n",
        "long": "f" * 257,
        "k" * 64: "g",
        "a/": "h",
    }
    wrong = _wrong(labels=labels)
    assert [field for field, _ in wrong] == ["spec.labels"] * len(labels)


@pytest.mark.parametrize("variables", [{"": "hunter2"}, {"A=B": "hunter2"}, {"A\0": "hunter2"}, {"A": "hunter2\0"}])
def test_a_wrong_variable_is_refused_without_showing_its_value(variables: dict[str, str]) -> None:
    ((field, what),) = _wrong(environment=variables)
    assert field == "spec.environment"
    assert "hunter2" not in what


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limits": Limits(output_bytes=2**62)}, "spec.limits.output_bytes"),
        ({"limits": Limits(spool_bytes=1)}, "spec.limits.spool_bytes"),
        ({"limits": Limits(spool_bytes=2**62)}, "spec.limits.spool_bytes"),
        ({"limits": Limits(wall_time_s=-1)}, "spec.limits.wall_time_s"),
        ({"limits": Limits(idle_s=float("nan"))}, "spec.limits.idle_s"),
        ({"limits": Limits(idle_s=float("inf"))}, "spec.limits.idle_s"),
        ({"limits": Limits(cpus=0.5)}, "spec.limits.cpus"),  # this machine cannot hold it
        ({"command": ()}, "spec.command"),
        ({"command": ("true", "x" * (128 << 10))}, "spec.command"),
        ({"command": ("true", "\0")}, "spec.command"),
        ({"working_directory": "here"}, "spec.working_directory"),
        ({"success_exit_codes": (256,)}, "spec.success_exit_codes"),
        ({"terminal": Terminal(rows=0)}, "spec.terminal"),
        ({"adapter": "none"}, "spec.adapter"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_place(changes: dict[str, object], field: str) -> None:
    assert [place for place, _ in _wrong(**changes)] == [field]
