"""`tree …`: the table of its commands."""

import click

from kagectl.verb import Entry, LazyGroup

_HOME = "kagectl.commands.tree.verbs"


@click.command(
    cls=LazyGroup,
    name="tree",
    sections={
        "Commands": {
            "apply": Entry(f"{_HOME}:apply", "Make a tree from a file, or change it to the file."),
            "show": Entry(f"{_HOME}:show_tree", "Draw one."),
            "list": Entry(f"{_HOME}:list_trees", "Those that run; -a: also those that have ended."),
            "stop": Entry(f"{_HOME}:stop", "Stop its children in reverse order and end it."),
            "restart": Entry(f"{_HOME}:restart", "Start a child that is stopped."),
            "terminate": Entry(f"{_HOME}:terminate", "Stop a child; its spec stays."),
            "delete": Entry(f"{_HOME}:delete", "Take out a child that does not run, or a whole tree that has ended."),
        }
    },
    examples="""
kagectl tree apply project.toml --dry-run
kagectl tree apply project.toml
kagectl tree show project
kagectl tree terminate project web/api
kagectl tree restart project web/api
kagectl tree delete project --force
""",
)
def tree() -> None:
    """Supervision trees: agents that are started, stopped and restarted together, as in Erlang/OTP."""
