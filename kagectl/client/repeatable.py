"""What makes a mutating call repeatable: its `request_id`. Apart from `rescue`, which needs gRPC."""

from google.protobuf.message import Message

from kagectl.client.ids import uuid7


def mark_repeatable(request: Message) -> None:
    """Give a mutating request its id, so that a repeat of it gets the first answer."""
    field = request.DESCRIPTOR.fields_by_name.get("request_id")
    if field is not None and not getattr(request, field.name):
        setattr(request, field.name, uuid7())
