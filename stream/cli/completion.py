"""`deltabook completion`: scripts that let a shell complete commands, flags, their values and files. shtab generates them from the parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from stream.cli import COMMANDS, parser_of

SHELLS = ("bash", "zsh", "fish", "tcsh")

EXAMPLES = """examples:
  deltabook completion bash > ~/.local/share/bash-completion/completions/deltabook
  deltabook completion zsh > "${fpath[1]}/_deltabook"
  deltabook completion fish > ~/.config/fish/completions/deltabook.fish
  source <(deltabook completion bash)          for this shell only
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `completion`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=SHELLS)


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a command and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from arguments_of(command)


def script(shell: str) -> str:
    """The completion script for a shell, with the flags of every command."""
    parser = parser_of(list(COMMANDS))
    for action in arguments_of(parser):
        if action.type is Path or action.metavar in ("FILE", "FOLDER"):
            action.complete = shtab.FILE    # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def run(arguments: argparse.Namespace) -> int:
    """Print the script for a shell. Returns the exit status."""
    print(script(arguments.shell))
    return 0
