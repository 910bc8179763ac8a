"""What a tree's spec may say, and that it survives being written down."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.domain.machines import tree as t
from kaged.domain.machines.tree.spec import MAX_DEPTH


def bad(value: object) -> Any:
    """A value that the types would not let through; specs from outside may hold it."""
    return value


LEAF = t.ChildSpec(id="a", work="x")
ROOT = t.SupervisorSpec(id="main", children=(LEAF,))


def test_a_plain_tree_is_good() -> None:
    assert t.validate(ROOT) == ()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (replace(ROOT, children=(LEAF, LEAF)), "children[1].id"),
        (replace(ROOT, intensity=-1), "intensity"),
        (replace(ROOT, period_s=0), "period_s"),
        (replace(ROOT, period_s=float("nan")), "period_s"),
        (replace(ROOT, strategy=bad("simple")), "strategy"),
        (replace(ROOT, auto_shutdown=bad("maybe")), "auto_shutdown"),
        (replace(ROOT, significant=True), ""),
        (replace(ROOT, id="a/b"), "id"),
        (replace(ROOT, children=(replace(LEAF, id=""),)), "children[0].id"),
        (replace(ROOT, children=(replace(LEAF, work=""),)), "children[0].work"),
        (replace(ROOT, children=(replace(LEAF, restart=bad("often")),)), "children[0].restart"),
        (replace(ROOT, children=(replace(LEAF, shutdown=-1),)), "children[0].shutdown"),
        (replace(ROOT, children=(replace(LEAF, shutdown=bad("soon")),)), "children[0].shutdown"),
        (replace(ROOT, children=(replace(LEAF, restart="transient", significant=True),)), "children[0].significant"),
        (
            replace(ROOT, auto_shutdown="any_significant", children=(replace(LEAF, significant=True),)),
            "children[0].significant",
        ),
        (
            replace(
                ROOT,
                auto_shutdown="any_significant",
                children=(t.SupervisorSpec(id="s", significant=True),),
            ),
            "children[0].significant",
        ),
        (replace(ROOT, children=(t.SupervisorSpec(id="s", shutdown=5000),)), "children[0].shutdown"),
        (replace(ROOT, children=(replace(LEAF, backoff=t.Backoff(factor=0.5)),)), "children[0].backoff.factor"),
        (replace(ROOT, children=(replace(LEAF, backoff=t.Backoff(max_s=-1)),)), "children[0].backoff.max_s"),
    ],
)
def test_a_bad_spec_names_the_field(spec: t.SupervisorSpec, field: str) -> None:
    assert [where for where, _ in t.validate(spec)] == [field]


def test_everything_wrong_is_said_at_once() -> None:
    spec = replace(ROOT, intensity=-1, period_s=0, children=(LEAF, LEAF, t.SupervisorSpec(id="s", shutdown=1)))
    with pytest.raises(t.SpecInvalid) as refused:
        t.decide(t.initial("main"), t.ApplySpec(spec=spec, at_us=0, jitter=0))
    assert {where for where, _ in refused.value.violations} == {
        "intensity",
        "period_s",
        "children[1].id",
        "children[2].shutdown",
    }


def test_nesting_has_a_bound() -> None:
    spec = t.SupervisorSpec(id="s")
    for _ in range(MAX_DEPTH - 1):
        spec = t.SupervisorSpec(id="s", children=(spec,))
    assert t.validate(spec) == ()
    assert t.validate(t.SupervisorSpec(id="s", children=(spec,))) != ()


def test_the_root_is_named_like_its_tree() -> None:
    with pytest.raises(t.SpecInvalid):
        t.decide(t.initial("other"), t.ApplySpec(spec=ROOT, at_us=0, jitter=0))


ids = st.sampled_from(["a", "b", "c"])
backoffs = st.none() | st.builds(t.Backoff, base_s=st.floats(0, 10), max_s=st.integers(0, 100))
leaves = st.builds(
    t.ChildSpec,
    id=ids,
    work=st.text(min_size=1, max_size=4),
    restart=st.sampled_from(["permanent", "transient", "temporary"]),
    shutdown=st.sampled_from(["brutal", "infinity", 0, 5000]),
    significant=st.booleans(),
    backoff=backoffs,
)
specs = st.recursive(
    st.builds(t.SupervisorSpec, id=ids),
    lambda inner: st.builds(
        t.SupervisorSpec,
        id=ids,
        strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        intensity=st.integers(0, 9),
        period_s=st.floats(0.1, 100) | st.integers(1, 9),
        children=st.lists(leaves | inner, max_size=3).map(tuple),
    ),
    max_leaves=5,
)


@given(specs)
def test_a_spec_survives_being_written_down(spec: t.SupervisorSpec) -> None:
    text = t.spec_to_json(spec)
    assert t.spec_from_json(text) == spec
    assert t.spec_to_json(t.spec_from_json(text)) == text
