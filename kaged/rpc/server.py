"""The doors: sockets, services, health and reflection. Bind early, serve late (decisions 21, 22).

grpc unlinks whatever is at a socket's path, so a path is only ever bound under a temporary name, after the state
folder's lock is held, and renamed into place.

A third door, at loopback ports, is there only when the configuration names one. It is the owner's, and stricter: file
modes keep nobody away from a port, so nothing at all is answered without the token, health and reflection included.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from kaged.api.v1 import (
    agent_service_pb2,
    approval_service_pb2,
    daemon_service_pb2,
    event_service_pb2,
    supervisor_service_pb2,
    workspace_service_pb2,
)
from kaged.domain.errors import AlreadyExists, Broken, KageError, Unavailable
from kaged.domain.places import LoopbackPlace
from kaged.rpc.identity import AgentGate, OwnerGate, TokenInvalid
from kaged.rpc.methods import MESSAGE_BYTES, Gate, UnknownMethods, handlers, refusing
from kaged.rpc.services.agents import AgentService
from kaged.rpc.services.approvals import ApprovalService
from kaged.rpc.services.daemon import DaemonService, Operator
from kaged.rpc.services.events import EventService
from kaged.rpc.services.supervisors import SupervisorService
from kaged.rpc.services.workspaces import WorkspaceService
from kaged.runtime.appends import Appends
from kaged.runtime.core import Core

_OPTIONS: Final[Sequence[tuple[str, Any]]] = (
    ("grpc.max_receive_message_length", 2 * MESSAGE_BYTES),  # what lies between is refused by us, with words
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.http2.bdp_probe", 0),  # keeps what is parked for a stuck reader at 64 KiB
    ("grpc.so_reuseport", 0),
)
_EVENTS: Final = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
_AGENTS: Final = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
_SUPERVISORS: Final = supervisor_service_pb2.DESCRIPTOR.services_by_name["SupervisorService"]
_APPROVALS: Final = approval_service_pb2.DESCRIPTOR.services_by_name["ApprovalService"]
_WORKSPACES: Final = workspace_service_pb2.DESCRIPTOR.services_by_name["WorkspaceService"]
_DAEMON: Final = daemon_service_pb2.DESCRIPTOR.services_by_name["DaemonService"]
SERVICES: Final = (_EVENTS, _AGENTS, _SUPERVISORS, _APPROVALS, _WORKSPACES, _DAEMON)
_WHILE_RECOVERING: Final = frozenset(("GetStatus", "WatchStatus"))
# What an agent may do at its own door: append events about itself, and learn where the journal stands.
_AGENT_EVENTS: Final = frozenset(("AppendEvents", "AppendStream", "GetHead"))


class Recovering(Unavailable):
    """The daemon reads its journal and adopts agents."""

    reason = "RECOVERING"

    def __init__(self) -> None:
        super().__init__("kaged is recovering", hint="try again in a moment", retry_after_s=0.1)


class PortTaken(AlreadyExists):
    """Something listens at the loopback port that the configuration names."""

    reason = "PORT_TAKEN"

    def __init__(self, place: LoopbackPlace) -> None:
        super().__init__(
            f"another program listens at {place}", hint="stop it, or take tcp:127.0.0.1:0: any port that is free"
        )


class PortRefused(Broken):
    """The machine does not let us listen there."""

    reason = "PORT_REFUSED"

    def __init__(self, place: LoopbackPlace, why: str) -> None:
        super().__init__(f"cannot listen at {place}: {why}", hint="choose another place in `listen`")


class Doors:
    """The owner's server and the agents', and the owner's at loopback ports."""

    def __init__(self, operator: Operator, owner: OwnerGate, agents: AgentGate) -> None:
        self._operator = operator
        self._owner_gate = owner
        self._agent_gate = agents
        self._ready = False
        self._owner = grpc.aio.server(options=_OPTIONS)
        self._agents = grpc.aio.server(options=_OPTIONS)
        self._ports: grpc.aio.Server | None = None
        self._core_handlers: dict[bool, _Late] = {True: _Late(), False: _Late()}
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # made at import

    async def bind(self, owner: Path, agents: Path) -> None:
        """Bind both sockets; only health and status are served until `open`."""
        self._furnish_owners(self._owner)
        self._agents.add_generic_rpc_handlers((self._core_handlers[False],))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._agents)
        self._agents.add_generic_rpc_handlers((UnknownMethods(),))
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await _bind(self._owner, owner)
        await _bind(self._agents, agents)

    async def bind_ports(self, places: Sequence[LoopbackPlace]) -> tuple[LoopbackPlace, ...]:
        """Serve the owner at loopback ports, too; where, with the ports that were chosen. After `bind`.

        Raises PortTaken, PortRefused.
        """
        server = self._ports = grpc.aio.server(options=_OPTIONS, interceptors=(_TokenFirst(self._owner_gate),))
        self._furnish_owners(server)
        bound = tuple(_bind_port(server, place) for place in places)
        await server.start()
        return bound

    def _furnish_owners(self, server: grpc.aio.Server) -> None:
        daemon = handlers(DaemonService(self._operator), _DAEMON, self._owner_gate, self._check_ready)
        server.add_generic_rpc_handlers((daemon, self._core_handlers[True]))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        server.add_generic_rpc_handlers((_Reflection(), UnknownMethods()))

    async def open(self, core: Core) -> None:
        """Serve everything."""
        appends = Appends(core.engine, core.reader, core.system)
        ready = self._check_ready
        events = EventService(core, appends)
        gate: Gate = self._owner_gate
        self._core_handlers[True].set(
            handlers(events, _EVENTS, gate, ready),
            handlers(AgentService(core), _AGENTS, gate, ready),
            handlers(SupervisorService(core), _SUPERVISORS, gate, ready),
            handlers(ApprovalService(core), _APPROVALS, gate, ready),
            handlers(WorkspaceService(core), _WORKSPACES, gate, ready),
        )
        self._core_handlers[False].set(
            handlers(events, _EVENTS, self._agent_gate, ready, only=_AGENT_EVENTS),
            *(handlers(None, service, self._agent_gate, ready, only=frozenset()) for service in SERVICES[1:]),
        )
        self._ready = True
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def refuse(self) -> None:
        """Tell health checks that the store does not take writes."""
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def serve_again(self) -> None:
        """Tell health checks that all is well again."""
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def close(self, grace_s: float) -> None:
        """Refuse new calls, wait for those under way, then end the rest."""
        await self._health.enter_graceful_shutdown()
        servers = (self._owner, self._agents, *((self._ports,) if self._ports is not None else ()))
        await asyncio.gather(*(server.stop(grace_s) for server in servers))

    async def _say(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in ("", *(service.full_name for service in SERVICES)):
            await self._health.set(name, status)

    def _check_ready(self, service: str, method: str) -> None:
        if not self._ready and not (service == "DaemonService" and method in _WHILE_RECOVERING):
            raise Recovering


class _TokenFirst(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # the stubs' type variables do not matter here
    """Refuses every call without the owner's token before anything of it is read, whatever it asks for."""

    def __init__(self, gate: OwnerGate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        try:
            self._gate.check(handler_call_details.invocation_metadata)
        except TokenInvalid:  # its hint names a folder of the owner's: not for who may be anybody
            return refusing(
                lambda _: TokenInvalid("send the owner's token as `authorization: Bearer ...`"), streaming=True
            )
        return await continuation(handler_call_details)


class _Late(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # the stubs' type variables do not matter here
    """Handlers that come after the server has started; until then calls are told to come again."""

    def __init__(self) -> None:
        self._handlers: tuple[grpc.GenericRpcHandler[Any, Any], ...] = ()

    def set(self, *handlers: "grpc.GenericRpcHandler[Any, Any]") -> None:
        self._handlers = handlers

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if not self._handlers:
            return _recovering(details.method)
        for handler in self._handlers:
            found = handler.service(details)
            if found is not None:
                return found
        return None


class _Reflection(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # as above
    """Server reflection, made at its first call."""

    def __init__(self) -> None:
        self._handler: grpc.RpcMethodHandler[Any, Any] | None = None

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if details.method != "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
            return None
        if self._handler is None:
            from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415  1 % of a start

            names = (*(service.full_name for service in SERVICES), health.SERVICE_NAME, reflection.SERVICE_NAME)
            self._handler = grpc.stream_stream_rpc_method_handler(
                reflection.aio.ReflectionServicer(names).ServerReflectionInfo,  # type: ignore[attr-defined]  # as health.aio
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
        return self._handler


def _recovering(method: str) -> "grpc.RpcMethodHandler[Any, Any] | None":
    if not method.startswith("/kaged.api.v1."):
        return None

    service, _, name = method.removeprefix("/").rpartition("/")
    for descriptor in SERVICES:
        if descriptor.full_name == service and name in descriptor.methods_by_name:
            return refusing(lambda _: Recovering(), streaming=descriptor.methods_by_name[name].server_streaming)
    return None


async def _bind(server: grpc.aio.Server, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name[:8]}")
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{temporary}")
        await server.start()
    finally:
        os.umask(before)
    temporary.chmod(0o600)
    temporary.rename(path)


def _bind_port(server: grpc.aio.Server, place: LoopbackPlace) -> LoopbackPlace:
    try:
        port = server.add_insecure_port(place.authority)
    except RuntimeError:
        port = 0
    if not port:
        raise _port_error(place)
    return LoopbackPlace(host=place.host, port=port)


def _port_error(place: LoopbackPlace) -> KageError:
    """gRPC does not say why it could not bind: the system does, asked the same."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET) as probe:
            probe.bind((place.host, place.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return PortTaken(place)
        return PortRefused(place, error.strerror or str(error))
    return PortTaken(place)  # it was, a moment ago
