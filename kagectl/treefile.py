"""Tree files (TOML or JSON) to a SupervisorSpec. The format is documented in docs/kagectl.md.

tree = "project"                 the tree's name; the command line may say another
strategy = "rest_for_one"        and intensity, period, auto_shutdown
[[children]]                     in the order of starting
id = "db"                        with command … : an agent; with children …: a supervisor
"""

from collections.abc import Mapping

from kagectl.errors import Complaint
from kagectl.quantities import duration_s
from kagectl.specfile import AUTO_SHUTDOWNS, STRATEGIES, Table, agent_spec, backoff
from kagectl.specfile import choice as one_of
from kagectl.specfile import count as whole
from kagectl.specfile import flag as yes_or_no
from kagectl.specfile import number_s as seconds
from kagectl.specfile import text as word
from kagectl.specs import RESTARTS
from kaged.api.v1 import spec_pb2
from kaged.api.v1 import supervisor_service_pb2 as pb


def tree_file(data: Mapping[str, object], *, here: str) -> tuple[str, pb.SupervisorSpec]:
    """The tree's name (may be empty) and its root. `here`: working directory of agents that name none."""
    table = Table(data, path="")
    name = table.take("tree", word, "")
    root = _supervisor(table, here)
    table.close()
    return name, root


def _supervisor(table: Table, here: str) -> pb.SupervisorSpec:
    spec = pb.SupervisorSpec(
        strategy=table.take("strategy", one_of(STRATEGIES), pb.STRATEGY_ONE_FOR_ONE),
        period_s=table.take("period", seconds, 0.0),
        auto_shutdown=table.take("auto_shutdown", one_of(AUTO_SHUTDOWNS), pb.AUTO_SHUTDOWN_UNSPECIFIED),
    )
    intensity = table.take("intensity", whole, -1)
    if intensity >= 0:
        spec.intensity = intensity
    no_children: list[object] = []
    for index, child in enumerate(table.take("children", _children, no_children)):
        spec.children.append(_child(Table(child, path=f"{table.at('children')}[{index}]"), here))
    return spec


def _children(value: object, path: str) -> list[object]:
    if not isinstance(value, list):
        raise Complaint(f"{path}: expected a list of tables ([[{path}]] in TOML)")
    return value


def _child(table: Table, here: str) -> pb.ChildSpec:
    name = table.take("id", word, "")
    if not name:
        raise Complaint(f"{table.path}: every child needs an id")
    table.path = f"{table.path} ({name})"
    child = pb.ChildSpec(
        id=name,
        restart=table.take("restart", one_of(RESTARTS), spec_pb2.RESTART_TYPE_UNSPECIFIED),
        significant=table.take("significant", yes_or_no, False),
    )
    table.take("shutdown", lambda value, path: _shutdown(child, value, path), None)
    if table.has("children"):
        child.supervisor.CopyFrom(_supervisor(table, here))
    elif table.has("command"):
        child.agent.CopyFrom(agent_spec(table))
        child.agent.working_directory = child.agent.working_directory or here
        backoff(table, child.agent.restart)
    else:
        raise Complaint(f"{table.path}: needs a command (an agent) or children (a supervisor)")
    table.close()
    return child


def _shutdown(child: pb.ChildSpec, value: object, path: str) -> None:
    if value in ("brutal", "brutal_kill", "kill"):
        child.brutal = True
    elif value in ("infinity", "never"):
        child.infinity = True
    elif isinstance(value, str):
        child.shutdown_ms = round(duration_s(value, what=path) * 1000)
    else:
        child.shutdown_ms = whole(value, path)
