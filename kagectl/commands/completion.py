"""`kagectl completion`: the scripts that click makes, on standard output."""

import click
from click.shell_completion import get_completion_class

from kagectl.verb import Verb


@click.command(
    cls=Verb,
    examples="""
kagectl completion bash > ~/.local/share/bash-completion/completions/kagectl
kagectl completion zsh > ~/.zfunc/_kagectl
kagectl completion fish > ~/.config/fish/completions/kagectl.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    click.echo(found(root, {}, "kagectl", "_KAGECTL_COMPLETE").source())
