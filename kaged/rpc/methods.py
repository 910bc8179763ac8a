"""From service objects to gRPC handlers: identity, errors and raw bytes handled once, for every method.

A service is an object with one coroutine (or async generator) per method of its proto, named as there, taking
`(request, caller)`. A method marked with `raw_request` gets the request's bytes; answers may be messages or bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from kaged.domain.errors import Denied, Invalid, KageError, Late, TooMuch, Unimplemented
from kaged.domain.frozen import frozen
from kaged.rpc.identity import Identity
from kaged.rpc.status import abort, bug
from kaged.runtime.engine import Caller

Context = grpc.aio.ServicerContext[Any, Any]
F = TypeVar("F", bound=Callable[..., object])
_RAW: Final = "_raw_request"
MESSAGE_BYTES: Final = 16 << 20  # the largest request
_LATE_S: Final = 0.05  # so much before the caller's deadline it is told, or its own clock would be first


@frozen(kw_only=False)
class Call:
    """Who calls, and how long the answer is of use."""

    identity: Identity
    context: Context
    method: str

    def caller(self, request_id: str, request: Message) -> Caller:
        """The caller of a request that may be repeated."""
        return self.caller_of_bytes(request_id, request.SerializeToString(deterministic=True) if request_id else b"")

    def caller_of_bytes(self, request_id: str, request: bytes) -> Caller:
        """The same for a request that was not parsed."""
        if not request_id:
            return Caller(actor=self.identity.actor)
        if self.identity.agent:  # ids of one's own: an agent must not take those of the owner's requests
            request_id = f"{self.identity.agent}:{request_id}"
        digest = sha256(self.method.encode() + b"\0" + request).digest()
        return Caller(actor=self.identity.actor, request_id=request_id, digest=digest, method=self.method)


class Gate(Protocol):
    """Tells who calls, or refuses."""

    def admit(self, context: Context) -> Identity:
        """The caller."""


class Ready(Protocol):
    """Whether a method may be served now."""

    def __call__(self, service: str, method: str) -> None:
        """Raise when it may not."""


def raw_request(method: F) -> F:
    """The method takes the request's bytes."""
    setattr(method, _RAW, True)
    return method


class OwnerOnly(Denied):
    """An agent asked for what only the owner may do."""

    reason = "OWNER_ONLY"

    def __init__(self, method: str) -> None:
        super().__init__(f"{method} is the owner's alone", hint="an agent may append events about itself")


class MessageTooLarge(TooMuch):
    """A request is over the limit of bytes."""

    reason = "MESSAGE_TOO_LARGE"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a request of {size} bytes; at most {MESSAGE_BYTES}",
            hint="send it in pieces",
            bytes=size,
            max_bytes=MESSAGE_BYTES,
        )


class DeadlineExceeded(Late):
    """The caller's deadline came before the answer. What was accepted stays: a `request_id` tells what became of it."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, method: str) -> None:
        super().__init__(
            f"{method} was not done in the caller's time",
            hint="repeat it with the same request_id, or with more time",
            method=method,
        )


class MethodUnknown(Unimplemented):
    """This release has no such method."""

    reason = "METHOD_UNKNOWN"

    def __init__(self, method: str) -> None:
        super().__init__(f"there is no method {method[:200]}", hint="is the client newer than the daemon?")


def handlers(
    service: object, descriptor: ServiceDescriptor, gate: Gate, ready: Ready, only: frozenset[str] | None = None
) -> "grpc.GenericRpcHandler[Any, Any]":
    """gRPC handlers of one service; `only` narrows it to some methods, the rest is denied."""
    table = {
        method.name: _handler(service, descriptor, method, gate, ready)
        if only is None or method.name in only
        else _denied(descriptor, method, gate, ready)
        for method in descriptor.methods
    }
    return grpc.method_handlers_generic_handler(descriptor.full_name, table)


def _handler(
    service: object, descriptor: ServiceDescriptor, method: MethodDescriptor, gate: Gate, ready: Ready
) -> "grpc.RpcMethodHandler[Any, Any]":
    function = getattr(service, method.name, None)
    if function is None:  # in the API, not yet in this release: the daemon starts, and says so when it is asked
        return _denied(descriptor, method, gate, ready, MethodUnknown(f"{descriptor.name}.{method.name}"))
    of, name = descriptor.name, method.name  # each look into a descriptor makes the text anew
    path = f"{of}.{name}"
    raw = getattr(function, _RAW, False)
    # Requests are parsed here and not by grpc, whose refusal of garbage would tell the caller nothing.
    parse: Callable[[Any], Any] = _same if raw else _parser(GetMessageClass(method.input_type))
    if method.client_streaming:
        parse = _each_bounded

    def admit(context: Context) -> Call:
        ready(of, name)
        return Call(gate.admit(context), context, path)

    if method.server_streaming:
        assert raw or not method.client_streaming, "a stream of requests is cut by its service"
        stream = _streaming(cast("Callable[[Any, Call], AsyncIterator[object]]", function), parse, admit, path)
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, None, _serialize)
        return grpc.unary_stream_rpc_method_handler(stream, None, _serialize)
    unary = _unary(cast("Callable[[Any, Call], Awaitable[object]]", function), parse, admit, path)
    return grpc.unary_unary_rpc_method_handler(unary, None, _serialize)


def _denied(
    descriptor: ServiceDescriptor, method: MethodDescriptor, gate: Gate, ready: Ready, refusal: KageError | None = None
) -> "grpc.RpcMethodHandler[Any, Any]":
    def why(context: Context) -> KageError:
        try:
            ready(descriptor.name, method.name)
            gate.admit(context)
        except KageError as error:
            return error
        return refusal or OwnerOnly(f"{descriptor.name}.{method.name}")

    return refusing(why, streaming=method.server_streaming)


def refusing(why: Callable[[Context], KageError], *, streaming: bool) -> "grpc.RpcMethodHandler[Any, Any]":
    """A handler that refuses every call, whatever it sends."""

    async def refuse(request: object, context: Context) -> None:
        await abort(context, why(context))

    if streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    return grpc.stream_unary_rpc_method_handler(refuse)


class UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # the stubs' type variables do not matter here
    """Refuses every method that no handler before it has."""

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        return refusing(lambda _: MethodUnknown(details.method), streaming=True)


def _serialize(answer: object) -> bytes:
    return answer if isinstance(answer, bytes) else cast("Message", answer).SerializeToString()


def _same(request: bytes) -> bytes:
    return _bounded(request)


def _bounded(request: bytes) -> bytes:
    """The door takes a little more than is allowed, so that who sends too much hears it from us."""
    if len(request) > MESSAGE_BYTES:
        raise MessageTooLarge(len(request))
    return request


async def _each_bounded(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield _bounded(request)


def _deadline(context: Context) -> asyncio.Timeout:
    """The caller's deadline as a limit on the work for it, a moment early."""
    left_s = cast("float | None", context.time_remaining())  # the stubs forgot None
    return asyncio.timeout(None if left_s is None else left_s - min(_LATE_S, left_s / 4))


def _parser(kind: type[Message]) -> Callable[[bytes], Message]:
    def parse(request: bytes) -> Message:
        try:
            return kind.FromString(_bounded(request))
        except DecodeError:
            name = kind.DESCRIPTOR.name
            raise Invalid(
                ("", f"not a valid {name} (is every text UTF-8?)"), hint="is the client's .proto ours?"
            ) from None

    return parse


def _unary(
    function: Callable[[Any, Call], Awaitable[object]],
    parse: Callable[[bytes], object],
    admit: Callable[[Context], Call],
    path: str,
) -> Callable[[Any, Context], Awaitable[object]]:
    async def serve(request: bytes, context: Context) -> object:
        limit = _deadline(context)
        try:
            async with limit:
                call = admit(context)
                return await function(parse(request), call)
        except KageError as error:
            await abort(context, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if _aborted(error):
                raise
            await abort(context, DeadlineExceeded(path) if _is_late(error, limit) else bug(path, error))
        return None

    return serve


def _streaming(
    function: Callable[[Any, Call], AsyncIterator[object]],
    parse: Callable[[Any], object],
    admit: Callable[[Context], Call],
    path: str,
) -> Callable[[Any, Context], Awaitable[None]]:
    async def serve(request: Any, context: Context) -> None:
        limit = _deadline(context)
        try:
            async with limit:
                call = admit(context)
                answers = function(parse(request), call)
                try:
                    async for answer in answers:
                        await context.write(answer)
                finally:
                    await answers.aclose()  # type: ignore[attr-defined]  # an async generator, as all services write it
        except KageError as error:
            await abort(context, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if _aborted(error):
                raise
            await abort(context, DeadlineExceeded(path) if _is_late(error, limit) else bug(path, error))

    return serve


def _is_late(error: Exception, limit: asyncio.Timeout) -> bool:
    return isinstance(error, TimeoutError) and limit.expired()


def _aborted(error: Exception) -> bool:
    """grpc's own way out of a call."""
    return isinstance(error, grpc.aio.AbortError | grpc.aio.UsageError | grpc.aio.BaseError)
