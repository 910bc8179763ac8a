"""`kagectl agent …`: the table of its commands. Each is loaded when it is called."""

import click

from kagectl.verb import Entry, LazyGroup

_HOME = "kagectl.commands"


@click.command(
    cls=LazyGroup,
    name="agent",
    sections={
        "Commands": {
            "spawn": Entry(f"{_HOME}.agent.spawn:spawn", "Start one and return at once."),
            "list": Entry(f"{_HOME}.agent.listing:list_agents", "Those that have not ended; -a: all."),
            "show": Entry(f"{_HOME}.agent.listing:show_agent", "Everything about one."),
            "watch": Entry(f"{_HOME}.agent.watching:watch", "What one does, told for people; no name: all, live."),
            "logs": Entry(f"{_HOME}.agent.logs:logs", "Its output; -f: and on as it comes."),
            "wait": Entry(f"{_HOME}.agent.lifecycle:wait", "Wait until it has ended."),
            "stop": Entry(f"{_HOME}.agent.lifecycle:stop", "End it and everything it started."),
            "pause": Entry(f"{_HOME}.agent.holding:pause", "Hold one with a goal at the end of its turn."),
            "resume": Entry(f"{_HOME}.agent.holding:resume", "Let a paused one go on, with more and with words."),
            "signal": Entry(f"{_HOME}.agent.lifecycle:send_signal", "Send it a signal."),
            "restart": Entry(f"{_HOME}.agent.lifecycle:restart", "Stop its run and start a new one."),
            "remove": Entry(f"{_HOME}.agent.lifecycle:remove", "Take an ended one out of the lists."),
            "send": Entry(f"{_HOME}.agent.input:send", "Write to its standard input."),
            "diff": Entry(f"{_HOME}.agent.workspace:diff", "What is new in its workspace."),
            "merge": Entry(f"{_HOME}.agent.workspace:merge", "Bring its work into a branch."),
            "snapshot": Entry(f"{_HOME}.agent.workspace:snapshot", "Keep the files of its workspace."),
            "checkpoints": Entry(f"{_HOME}.agent.checkpoints:checkpoints", "Snapshots of its workspace."),
            "restore": Entry(f"{_HOME}.agent.checkpoints:restore", "Put its files back to a snapshot's."),
            "overlaps": Entry(f"{_HOME}.agent.workspace:overlaps", "Files that two of them changed."),
            "resize": Entry(f"{_HOME}.agent.input:resize", "Give its terminal another size."),
        }
    },
    examples="""
kagectl agent spawn --name tests --restart on-failure -- make test
kagectl agent list --filter 'state = running AND labels.team = core'
kagectl agent stop tests --grace 30s
""",
)
def agent() -> None:
    """Spawn, watch, stop and talk to agents."""
