"""The fast cut of an append stream's message agrees with the careful one wherever it answers at all."""

from hypothesis import given
from hypothesis import strategies as st

from kaged.api.v1 import event_pb2
from kaged.api.v1 import event_service_pb2 as pb
from kaged.rpc.plain_groups import plain_groups
from kaged.store.wire.record import field_content, fields

EVENTS = st.builds(
    lambda size, stream: event_pb2.NewEvent(
        meta=event_pb2.Meta(stream=stream),
        body=event_pb2.Body(custom=event_pb2.CustomPayload(data=b"x" * size)),
    ),
    st.sampled_from([0, 1, 100, 127, 128, 300, 16_383, 16_384, 70_000]),
    st.text(max_size=20),
)
GROUPS = st.lists(EVENTS, min_size=1, max_size=5).map(lambda events: pb.AppendGroup(events=events))


@given(st.integers(1, 2**49 - 1), st.lists(GROUPS, max_size=5))
def test_a_plain_message_is_cut_as_protobuf_reads_it(batch: int, groups: list[pb.AppendGroup]) -> None:
    request = pb.AppendStreamRequest(batch=batch, groups=groups).SerializeToString()
    assert plain_groups(request) == (
        batch,
        [[event.SerializeToString() for event in group.events] for group in groups],
    )


@given(GROUPS, st.binary(min_size=1, max_size=12), st.data())
def test_a_damaged_message_is_cut_as_the_careful_way_does_or_not_at_all(
    group: pb.AppendGroup, noise: bytes, data: st.DataObject
) -> None:
    good = pb.AppendStreamRequest(batch=7, groups=[group, group]).SerializeToString()
    at = data.draw(st.integers(0, min(len(good), 60)))
    replaced = data.draw(st.integers(0, len(noise)))
    bad = good[:at] + noise + good[at + replaced :]
    cut = plain_groups(bad)
    if cut is None:
        return
    batch, *groups = fields(bad)
    assert [number for number, _ in groups] == [2] * len(groups)
    assert cut[0] == pb.AppendStreamRequest.FromString(batch[1]).batch
    for events, (_, field) in zip(cut[1], groups, strict=True):
        assert [(1, event) for event in events] == [
            (number, field_content(event)) for number, event in fields(field_content(field))
        ]


def test_what_is_not_plain_is_left_to_the_careful_way() -> None:
    event = event_pb2.NewEvent(meta=event_pb2.Meta(stream="a"))
    checked = pb.AppendGroup(events=[event], checks=[pb.Check(stream="a", absent=True)])
    for request in (
        pb.AppendStreamRequest(batch=1, groups=[checked]),
        pb.AppendStreamRequest(batch=1, groups=[pb.AppendGroup()]),
        pb.AppendStreamRequest(groups=[pb.AppendGroup(events=[event])]),
    ):
        assert plain_groups(request.SerializeToString()) is None
    whole = pb.AppendStreamRequest(batch=1, groups=[pb.AppendGroup(events=[event])]).SerializeToString()
    assert plain_groups(whole) is not None
    for end in range(3, len(whole)):
        assert plain_groups(whole[:end]) is None
