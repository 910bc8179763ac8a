"""The life of one agent: what may be asked of it, what follows from what happens to it. Pure.

    starting --executed--> running --ended--> backoff --due--> starting
        |                     |                  |
        +------- stop --------+-----> stopping --+--ended--> ended   (removed: gone from the lists)
    a child of a tree: idle until its tree starts it; stopped when its tree keeps its place and does not

`decide_*` may refuse; `apply` may not, its event has already happened. Everything needed to go on after a crash of
the daemon is in the state: the run that should be there, the wish to stop it, how far orders and input have come,
the restart window. An agent that is a supervisor's child makes no decision of its own about restarts: its tree
does (`machines/tree`). Not here: output (capture keeps its own place).

state (what is) <- fold (facts into state) <- outcome (ends in words) <- loop (a goal, turn after turn) <- ends (what
follows from the end of a run) <- wishes (what may be asked).
"""

from kaged.domain.machines.agent.ends import decide_ended, decide_rest, decide_retired
from kaged.domain.machines.agent.fold import apply, spawn
from kaged.domain.machines.agent.loop import (
    decide_hold,
    decide_interrupt,
    decide_judged,
    decide_pause,
    decide_resume,
    decide_wake,
    spent,
)
from kaged.domain.machines.agent.state import (
    AgentNotEnded,
    AgentNotRunning,
    AgentState,
    AgentSupervised,
    Outcome,
    Phase,
    Run,
    Usage,
)
from kaged.domain.machines.agent.wishes import (
    decide_due,
    decide_in_vain,
    decide_input,
    decide_remove,
    decide_resize,
    decide_restart,
    decide_signal,
    decide_spawn,
    decide_start,
    decide_stop,
    decide_turn,
)

__all__ = [
    "AgentNotEnded",
    "AgentNotRunning",
    "AgentState",
    "AgentSupervised",
    "Outcome",
    "Phase",
    "Run",
    "Usage",
    "apply",
    "decide_due",
    "decide_ended",
    "decide_hold",
    "decide_in_vain",
    "decide_input",
    "decide_interrupt",
    "decide_judged",
    "decide_pause",
    "decide_remove",
    "decide_resize",
    "decide_rest",
    "decide_restart",
    "decide_resume",
    "decide_retired",
    "decide_signal",
    "decide_spawn",
    "decide_start",
    "decide_stop",
    "decide_turn",
    "decide_wake",
    "spawn",
    "spent",
]
