"""The two doors: sockets, services, health and reflection. Bind early, serve late (decisions 21, 22).

grpc unlinks whatever is at a socket's path, so a path is only ever bound under a temporary name, after the state
folder's lock is held, and renamed into place.
"""

import asyncio
import os
from collections.abc import Sequence
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
)
from kaged.domain.errors import Unavailable
from kaged.rpc.identity import AgentGate, OwnerGate
from kaged.rpc.methods import MESSAGE_BYTES, Gate, UnknownMethods, handlers, refusing
from kaged.rpc.services.agents import AgentService
from kaged.rpc.services.approvals import ApprovalService
from kaged.rpc.services.daemon import DaemonService, Operator
from kaged.rpc.services.events import EventService
from kaged.rpc.services.supervisors import SupervisorService
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
_DAEMON: Final = daemon_service_pb2.DESCRIPTOR.services_by_name["DaemonService"]
SERVICES: Final = (_EVENTS, _AGENTS, _SUPERVISORS, _APPROVALS, _DAEMON)
_WHILE_RECOVERING: Final = frozenset(("GetStatus", "WatchStatus"))
# What an agent may do at its own door: append events about itself, and learn where the journal stands.
_AGENT_EVENTS: Final = frozenset(("AppendEvents", "AppendStream", "GetHead"))


class Recovering(Unavailable):
    """The daemon reads its journal and adopts agents."""

    reason = "RECOVERING"

    def __init__(self) -> None:
        super().__init__("kaged is recovering", hint="try again in a moment", retry_after_s=0.1)


class Doors:
    """The owner's server and the agents'."""

    def __init__(self, operator: Operator, owner: OwnerGate, agents: AgentGate) -> None:
        self._operator = operator
        self._owner_gate = owner
        self._agent_gate = agents
        self._ready = False
        self._owner = grpc.aio.server(options=_OPTIONS)
        self._agents = grpc.aio.server(options=_OPTIONS)
        self._core_handlers: dict[bool, _Late] = {True: _Late(), False: _Late()}
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # made at import

    async def bind(self, owner: Path, agents: Path) -> None:
        """Bind both sockets; only health and status are served until `open`."""
        ready = self._check_ready
        daemon = handlers(DaemonService(self._operator), _DAEMON, self._owner_gate, ready)
        self._owner.add_generic_rpc_handlers((daemon, self._core_handlers[True]))
        self._agents.add_generic_rpc_handlers((self._core_handlers[False],))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._owner)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._agents)
        self._owner.add_generic_rpc_handlers((_Reflection(),))
        for server in (self._owner, self._agents):
            server.add_generic_rpc_handlers((UnknownMethods(),))
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await _bind(self._owner, owner)
        await _bind(self._agents, agents)

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
        await asyncio.gather(self._owner.stop(grace_s), self._agents.stop(grace_s))

    async def _say(self, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        for name in ("", *(service.full_name for service in SERVICES)):
            await self._health.set(name, status)

    def _check_ready(self, service: str, method: str) -> None:
        if not self._ready and not (service == "DaemonService" and method in _WHILE_RECOVERING):
            raise Recovering


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
