"""`read_mask` of read methods (AIP-157): which fields of an answer a caller wants."""

from typing import TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kaged.domain.errors import Invalid

M = TypeVar("M", bound=Message)


def mask_in(mask: FieldMask, kind: type[Message]) -> FieldMask | None:
    """The mask, or None when everything is wanted. Raises Invalid for what is no field of the message."""
    if not mask.paths or list(mask.paths) == ["*"]:
        return None
    shape = cast("Descriptor", kind.DESCRIPTOR)  # the stubs know two classes of them
    wrong = [path for path in mask.paths if not FieldMask(paths=[path]).IsValidForDescriptor(shape)]
    if wrong:
        raise Invalid(
            *(("read_mask", f"{path[:100]!r} is no field of {shape.name}") for path in wrong),
            hint="fields as in the .proto, `run.pid` for one of a message; not into lists and maps",
        )
    return mask


def masked(message: M, mask: FieldMask | None) -> M:
    """Only what the mask names."""
    if mask is None:
        return message
    some = type(message)()
    mask.MergeMessage(message, some)
    return some
