"""All facts about agents, their runs and the daemon under one name: `from kaged.domain.events import facts`.

Those of trees, goals, guardrails and workspaces have names of their own, because some are called alike.
"""

from typing import TypeAlias

from kaged.domain.events.agent import (
    Ended,
    Removed,
    Resized,
    RestartScheduled,
    Signalled,
    Spawned,
    StopCause,
    Stopped,
    StopWanted,
)
from kaged.domain.events.approval import ApprovalAnswered, ApprovalRequested, ApprovalWithdrawn
from kaged.domain.events.daemon import (
    DaemonEvent,
    DaemonStarted,
    DaemonStopped,
    DaemonStopWanted,
    Redacted,
    Reloaded,
    RequestNoted,
)
from kaged.domain.events.goal import GoalEvent
from kaged.domain.events.guardrail import GuardrailJudged
from kaged.domain.events.output import (
    CaptureEvent,
    Mask,
    OutputChunk,
    OutputDropped,
    OutputHeld,
    OutputReleased,
    OutputTruncated,
    RunRead,
)
from kaged.domain.events.run import (
    EndKind,
    How,
    InputAccepted,
    RunEnded,
    RunExecuted,
    RunSetAside,
    RunStarted,
    RunWanted,
    SignalHeard,
)
from kaged.domain.events.workspace import WorkspaceEvent

__all__ = [
    "AgentEvent",
    "ApprovalAnswered",
    "ApprovalRequested",
    "ApprovalWithdrawn",
    "CaptureEvent",
    "DaemonEvent",
    "DaemonStarted",
    "DaemonStopWanted",
    "DaemonStopped",
    "EndKind",
    "Ended",
    "How",
    "InputAccepted",
    "Mask",
    "OutputChunk",
    "OutputDropped",
    "OutputHeld",
    "OutputReleased",
    "OutputTruncated",
    "Redacted",
    "Reloaded",
    "Removed",
    "RequestNoted",
    "Resized",
    "RestartScheduled",
    "RunEnded",
    "RunExecuted",
    "RunRead",
    "RunSetAside",
    "RunStarted",
    "RunWanted",
    "SignalHeard",
    "Signalled",
    "Spawned",
    "StopCause",
    "StopWanted",
    "Stopped",
]

# What the state of an agent is folded from.
AgentEvent: TypeAlias = (
    Spawned
    | StopWanted
    | RestartScheduled
    | Signalled
    | Resized
    | Ended
    | Stopped
    | Removed
    | RunWanted
    | RunStarted
    | RunExecuted
    | RunEnded
    | RunSetAside
    | OutputHeld
    | OutputReleased
    | InputAccepted
    | ApprovalRequested
    | ApprovalAnswered
    | ApprovalWithdrawn
    | SignalHeard
    | GoalEvent
    | GuardrailJudged
    | WorkspaceEvent
)
