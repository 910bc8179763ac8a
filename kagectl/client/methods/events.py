"""Append, read and follow the journal. Methods of EventService."""

from kagectl.client.methods import Stream, Unary
from kaged.api.v1 import event_service_pb2 as pb

APPEND_EVENTS = Unary("EventService/AppendEvents", pb.AppendEventsRequest, pb.AppendEventsResponse)
READ_EVENTS = Stream("EventService/ReadEvents", pb.ReadEventsRequest, pb.ReadEventsResponse)
SUBSCRIBE_EVENTS = Stream("EventService/SubscribeEvents", pb.SubscribeEventsRequest, pb.SubscribeEventsResponse)
LIST_EVENTS = Unary("EventService/ListEvents", pb.ListEventsRequest, pb.ListEventsResponse)
GET_EVENT = Unary("EventService/GetEvent", pb.GetEventRequest, pb.GetEventResponse)
GET_HEAD = Unary("EventService/GetHead", pb.GetHeadRequest, pb.GetHeadResponse)
# AppendStream is not here: AsyncClient.append speaks it, with its own framing.
