"""Named points at which a crash is worth trying: one list, and a call that does nothing.

    passed(Point.RUN_STARTED)    # here: run.started is on the disk, the gate is still shut

A release has no way to arm a point: nothing in this package reads a variable, a flag or a file for it. The tests'
own kaged (`tests/faults/crash_kaged.py`, which no wheel holds) puts a trap here before it calls `cli.main`; with
`KAGED_CRASH_AT=run.started:2` that is SIGKILL to itself the second time. Disarmed, a point costs 0.1 us, and none
stands in a loop over events. Each point is proved to be reached, and to lose nothing, by
`tests/faults/test_crash_points.py`; a new step of a protocol gets a line here, a call, and, if the tests' usual
agents do not come by, a scenario there.
"""

import enum
from collections.abc import Callable


class Point(enum.Enum):
    """What is true at the moment of the crash. Any thread may pass one."""

    # requests and the journal
    FACTS_ACCEPTED = "facts.accepted"  # decided and applied in memory; not on the disk, nobody was told
    COMMIT_WRITTEN = "commit.written"  # with the kernel, not synced
    COMMIT_SYNCED = "commit.synced"  # durable; the loop does not know it yet
    EFFECT_DONE = "effect.done"  # between two effects of one batch
    REQUEST_DURABLE = "request.durable"  # what was asked is durable; the caller has no answer

    # the start of a run
    RUN_WANTED = "run.wanted"  # durable; nothing was made
    RUN_FOLDER_MADE = "run.folder_made"  # spec and empty inputs are there, no shim
    RUN_SHIM_SPAWNED = "run.shim_spawned"  # it may or may not get as far as its lock
    RUN_EQUIPPED = "run.equipped"  # it has its token, and perhaps its shim
    RUN_META_SEEN = "run.meta_seen"  # the shim stands at its gate; run.started is not written
    RUN_STARTED = "run.started"  # durable; the gate is shut, so the agent will not run
    RUN_GATE_OPENED = "run.gate_opened"  # the agent runs from here on, whoever dies
    RUN_AGENT_SEEN = "run.agent_seen"  # exec worked; run.executed is not written
    RUN_EXECUTED = "run.executed"  # durable, and the first words with it

    # output
    OUTPUT_READ = "output.read"  # cut into chunks and understood; nothing of it is written
    OUTPUT_COMMITTED = "output.committed"  # durable, with the offset behind it
    OUTPUT_FREED = "output.freed"  # to the disk; the shim does not know what is recorded
    OUTPUT_NOTED = "output.noted"  # it does; it may still sleep

    # orders and input
    ORDER_RECORDED = "order.recorded"  # durable; not in the folder
    ORDER_WRITTEN = "order.written"  # in the folder; the bell is silent
    ORDER_RUNG = "order.rung"
    INPUT_RECORDED = "input.recorded"
    INPUT_WRITTEN = "input.written"
    INPUT_RUNG = "input.rung"
    INPUT_END_DRAFTED = "input.end_drafted"  # in.eof.tmp is there, in.eof is not
    INPUT_ENDED = "input.ended"  # in.eof is there; the bell is silent

    # the end of a run
    RUN_SEALED_SEEN = "run.sealed_seen"  # no more output can come; the last of it may be unread
    RUN_LEFTOVERS_KILLED = "run.leftovers_killed"  # of a shim that is gone without a record
    RUN_EXIT_SEEN = "run.exit_seen"  # all output is durable; run.ended is not
    RUN_ENDED = "run.ended"  # durable, with all that follows from it; the folder is there
    RUN_SPEC_FORGOTTEN = "run.spec_forgotten"
    RUN_FOLDER_TRASHED = "run.folder_trashed"  # renamed; its files are there
    RUN_FOLDER_REMOVED = "run.folder_removed"
    RUN_CANCELLED = "run.cancelled"  # a start that a dead daemon began may not go on; not recorded
    RUN_NOT_STARTED = "run.not_started"  # recorded
    RETRY_DUE = "retry.due"  # its time has come; the next run is not wanted yet

    # questions
    APPROVAL_ASKED = "approval.asked"  # durable; its deadline is not armed
    APPROVAL_ANSWERED = (
        "approval.answered"  # or withdrawn: durable, and the words for the agent with it; not in the folder
    )

    # loops towards a goal
    GOAL_TURN_OVER = "goal.turn_over"  # durable; nobody judges it yet
    GOAL_EVIDENCE = "goal.evidence"  # checks have run; the verdict is not recorded
    GOAL_JUDGED = "goal.judged"  # durable, and the next prompt with it; not in the folder
    GOAL_DUE = "goal.due"  # a wait is over: for an account's limit, for a loop that is over to end

    # trees
    TREE_FACT = "tree.fact"  # durable; what it asks for is not done
    TREE_STEP = "tree.step"  # one start or stop of a child is on its way to the disk
    TREE_DUE = "tree.due"  # a timer of a tree has come

    # a start of the daemon
    START_LOCKED = "start.locked"
    START_STORE_OPEN = "start.store_open"
    START_BOUND = "start.bound"  # doors are there for health and status
    RECOVERY_FOLDED = "recovery.folded"  # the world is in memory
    RECOVERY_SWEPT = "recovery.swept"  # folders that no run owns are gone
    RECOVERY_KEPT = "recovery.kept"  # each live run has a keeper that has not looked yet
    RECOVERY_PLACED = "recovery.placed"  # a keeper knows how far the output of its run was recorded
    RECOVERY_REPEATED = "recovery.repeated"  # one order or input was put into its folder again
    RECOVERY_RUNG = "recovery.rung"  # all of them were, and the shim was woken
    RECOVERY_ADOPTED = "recovery.adopted"  # each run was looked at
    RECOVERY_RESUMED = "recovery.resumed"  # trees, back-offs and deadlines go on; daemon.started is not durable
    RECOVERY_RECORDED = "recovery.recorded"  # daemon.started is
    START_READY = "start.ready"

    # an orderly end
    STOP_WANTED = "stop.wanted"
    STOP_AGENTS_ASKED = "stop.agents_asked"  # each has been asked to end
    STOP_AGENTS_GONE = "stop.agents_gone"
    STOP_RECORDED = "stop.recorded"  # daemon.stopped is durable
    STOP_NOTED = "stop.noted"  # on a full disk: the note is written, no order is
    STOP_ORDERED = "stop.ordered"  # on a full disk: one more run was told to end, without a record


Trap = Callable[[Point], None]
_trap: Trap | None = None


def passed(point: Point) -> None:
    """The daemon stands at this point. Does nothing unless a trap was set."""
    if _trap is not None:
        _trap(point)


def set_trap(trap: Trap | None) -> None:
    """Call `trap` at every point from now on. For tests: the package itself never does."""
    global _trap
    _trap = trap
