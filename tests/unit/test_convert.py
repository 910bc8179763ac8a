"""What the door makes of requests: defaults filled in, nonsense refused by its place, secrets kept apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.api.v1 import agent_service_pb2 as agents_pb
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as trees_pb
from kaged.domain.errors import Invalid
from kaged.domain.machines.agent import AgentState, Run
from kaged.domain.spec import violations
from kaged.rpc import convert, trees_in

LIMITS = frozenset(("wall_time_s", "idle_s", "output_bytes"))
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def _spec(**fields: object) -> spec_pb2.AgentSpec:
    words = {"name": "x", "command": ["true"], "working_directory": "/", **fields}
    return spec_pb2.AgentSpec(**words)  # type: ignore[arg-type]  # names are checked by protobuf


def test_what_was_not_said_gets_its_default():
    spec, secrets = convert.spec_in(_spec())
    assert (spec.adapter, spec.stdin, spec.capture, spec.merge_stderr) == ("command", "null", "pipe", False)
    assert (spec.stop.signal, spec.stop.grace_s) == (15, 10)
    assert (spec.restart.type, spec.restart.intensity, spec.restart.period_s) == ("temporary", 5, 60)
    assert spec.restart.backoff is not None
    assert secrets == {}
    assert list(violations(spec, {"command": frozenset()}, LIMITS)) == []


def test_a_grace_of_nothing_is_not_a_grace_that_was_not_said():
    assert convert.spec_in(_spec(stop=spec_pb2.StopPolicy(grace_s=0)))[0].stop.grace_s == 0
    assert convert.grace_in(agents_pb.StopAgentRequest()) is None
    assert convert.grace_in(agents_pb.StopAgentRequest(grace_s=0)) == 0


def test_values_of_secrets_are_not_in_the_spec():
    spec, secrets = convert.spec_in(_spec(secret_environment={"B": "hidden", "A": "too"}))
    assert spec.secret_names == ("A", "B")
    assert secrets == {"A": "too", "B": "hidden"}
    assert "hidden" not in repr(spec)
    state = AgentState(id="a", number=1, spec=spec, run=Run(id="a.1", attempt=1))
    assert b"hidden" not in convert.agent(state, 7).SerializeToString()


@given(period=FLOATS, first=FLOATS, most=FLOATS, healthy=FLOATS, wall=FLOATS, idle=FLOATS, alone=FLOATS)
def test_no_number_comes_in_that_time_cannot_be_made_of(period, first, most, healthy, wall, idle, alone):
    message = _spec(
        restart=spec_pb2.RestartPolicy(
            period_s=period, backoff_initial_s=first, backoff_max_s=most, healthy_after_s=healthy
        ),
        limits=spec_pb2.Limits(wall_time_s=wall, idle_s=idle, unsupervised_s=alone),
    )
    try:
        spec, _ = convert.spec_in(message)
    except Invalid:
        return
    backoff = spec.restart.backoff
    assert backoff is not None
    for value in (spec.restart.period_s, backoff.base_s, backoff.max_s, backoff.healthy_after_s, spec.limits.idle_s):
        assert math.isfinite(value)
        assert 0 <= value <= convert.MAX_SECONDS
        assert int(value * 1e6) < 2**63
    assert backoff.base_s <= backoff.max_s


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (_spec(labels={str(at): "x" * 250 for at in range(1100)}), "spec"),
        (_spec(stdin=9), "spec.stdin"),
        (_spec(capture=9), "spec.capture"),
        (_spec(restart=spec_pb2.RestartPolicy(type=9)), "spec.restart.type"),  # type: ignore[arg-type]  # a newer value
        (_spec(stop=spec_pb2.StopPolicy(signal="SIGNOTHING")), "spec.stop.signal"),
        (_spec(environment={"A": "x" * convert.MAX_VARIABLE_BYTES}), "spec.environment"),
        (_spec(secret_environment={"A": "x" * convert.MAX_VARIABLE_BYTES}), "spec.secret_environment"),
        (_spec(environment={"A": ""}, secret_environment={"A": ""}), "spec.secret_environment"),
    ],
)
def test_nonsense_is_refused_by_its_place(message, field):
    with pytest.raises(Invalid) as caught:
        convert.spec_in(message)
    assert [name for name, _ in caught.value.violations] == [field]


@pytest.mark.parametrize("good", ["", "a", "x" * 128, "é"])
def test_a_request_id_may_be_any_printable_word(good):
    assert convert.request_id_in(good) == good


@pytest.mark.parametrize("bad", ["x" * 129, "a\nb", "\0"])
def test_a_request_id_that_could_not_be_a_key_is_refused(bad):
    with pytest.raises(Invalid):
        convert.request_id_in(bad)


def test_waiting_for_nothing_in_particular_is_waiting_until_nothing_runs_of_itself():
    assert convert.states_in([]) == convert.ENDED | {"stopped"}
    assert convert.states_in([agents_pb.AGENT_STATE_RUNNING]) == {"running"}
    for bad in (agents_pb.AGENT_STATE_UNSPECIFIED, 99):
        with pytest.raises(Invalid):
            convert.states_in([bad])  # type: ignore[list-item]  # a newer value


@given(st.integers(0, 2**53))
def test_times_survive_the_wire(microseconds):
    assert convert.microseconds(convert.timestamp(microseconds)) == microseconds


def test_every_state_has_one_word_and_back():
    assert len(convert.STATE_WORDS) == len(convert.STATES) == len(agents_pb.AgentState.values()) - 1


# --- trees ----------------------------------------------------------------------------------------------------


def test_a_tree_names_its_leaves_in_order_with_otps_defaults():
    inner = trees_pb.SupervisorSpec(children=[trees_pb.ChildSpec(id="b", agent=_spec())])
    message = trees_pb.SupervisorSpec(
        children=[trees_pb.ChildSpec(id="a", agent=_spec()), trees_pb.ChildSpec(id="in", supervisor=inner)]
    )
    spec, leaves = trees_in.spec_in("tree", message)
    assert [leaf.path for leaf in leaves] == ["a", "in/b"]
    assert (spec.id, spec.strategy, spec.intensity, spec.period_s) == ("tree", "one_for_one", 1, 5)
    first = spec.children[0]
    assert (first.restart, first.shutdown, first.significant) == ("permanent", 5000, False)
    assert spec.children[1].shutdown == "infinity"


def test_an_intensity_of_nothing_is_not_one_that_was_not_said():
    assert trees_in.spec_in("t", trees_pb.SupervisorSpec(intensity=0))[0].intensity == 0
    assert trees_in.spec_in("t", trees_pb.SupervisorSpec())[0].intensity == 1


def test_every_wrong_place_of_a_tree_is_named():
    bad = trees_pb.ChildSpec(id="b", agent=_spec(stop=spec_pb2.StopPolicy(signal="NONE")))
    inner = trees_pb.SupervisorSpec(children=[bad], strategy=9)  # type: ignore[arg-type]  # a newer value
    message = trees_pb.SupervisorSpec(
        children=[trees_pb.ChildSpec(id="in", supervisor=inner), trees_pb.ChildSpec(id="empty")]
    )
    with pytest.raises(Invalid) as caught:
        trees_in.spec_in("tree", message)
    assert [field for field, _ in caught.value.violations] == [
        "spec.children[0].supervisor.strategy",
        "spec.children[0].supervisor.children[0].agent.stop.signal",
        "spec.children[1]",
    ]


def test_a_tree_has_bounds():
    many = [trees_pb.ChildSpec(id=f"c{at}", agent=_spec()) for at in range(2001)]
    with pytest.raises(Invalid, match="2000"):
        trees_in.spec_in("tree", trees_pb.SupervisorSpec(children=many))
