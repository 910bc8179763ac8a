"""The loop of an agent towards its goal: turn, judgement, next turn, until it is reached, given up or paused. Pure.

    working --turn ended--> judging --judged--> working | paused | over
    paused --resumed--> working

`state` (what is, and facts into it) <- `judge` (what a turn comes to) and `words` (what the agent is told). What the
agent's runs have to do with it is decided in `machines/agent/loop`.
"""

from kaged.domain.machines.goal.judge import Evidence, limit_reached, verdict_of
from kaged.domain.machines.goal.state import GoalPhase, GoalState

__all__ = ["Evidence", "GoalPhase", "GoalState", "limit_reached", "verdict_of"]
