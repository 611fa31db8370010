"""`deltabook completion`: scripts that let a shell complete commands and flags, written from the parser itself. They run nothing."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stream.cli import COMMANDS, parser_of

EXAMPLES = """examples:
  deltabook completion bash > ~/.local/share/bash-completion/completions/deltabook
  deltabook completion zsh > "${fpath[1]}/_deltabook"
  deltabook completion fish > ~/.config/fish/completions/deltabook.fish
  source <(deltabook completion bash)          for this shell alone
"""


class Word(NamedTuple):
    """What can stand on the line, and what it means; of a flag that takes a value, which there are, and whether names of files are among them."""

    text: str
    meaning: str
    values: list[str] | None = None
    files: bool = False


class Place(NamedTuple):
    """What can follow a command, which is named by its words. `files`: whether names of files can, too."""

    command: str
    words: list[Word]
    files: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `completion`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=list(SCRIPTS))


def places(parser: argparse.ArgumentParser, command: str = "") -> Iterator[Place]:
    """Every command and its own commands, and what can follow each."""
    words, files, inner = [], False, []
    for action in parser._actions:
        meaning = " ".join((action.help or "").replace("%(default)s", str(action.default)).split())
        choices = [str(choice) for choice in action.choices or ()]
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            words += [Word(name, helps.get(name, "")) for name in action.choices]
            inner += list(action.choices.items())
        elif action.option_strings:
            values = None if action.nargs == 0 else choices
            words += [Word(text, meaning, values, names_file(action)) for text in action.option_strings if text.startswith("--")]
        else:
            words += [Word(choice, meaning) for choice in choices]
            files |= names_file(action)
    yield Place(command, words, files)
    for name, other in inner:
        yield from places(other, f"{command} {name}".strip())


def names_file(action: argparse.Action) -> bool:
    """Whether an argument is the name of a file or a folder."""
    return action.type is Path or action.metavar in ("FILE", "FOLDER")


def bash(found: list[Place]) -> str:
    """For bash 3.2 or later."""
    cases = "\n".join(f"    '{place.command}') words='{' '.join(word.text for word in place.words)}'; files={int(place.files)} ;;" for place in found)
    values = "\n".join(
        f"    '{place.command} {word.text}') words='{' '.join(word.values)}'; files={int(word.files)} ;;"
        for place in found for word in place.words if word.values is not None
    )
    commands = " | ".join(f"'{place.command}'" for place in found if place.command)
    return f"""# deltabook's completion for bash
_deltabook() {{
  local word command='' words='' files=0 i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{command:+$command }}${{COMP_WORDS[i]}}"
    case "$word" in {commands}) command="$word" ;; esac
  done
  case "$command ${{COMP_WORDS[COMP_CWORD - 1]}}" in
{values}
    *) case "$command" in
{cases}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
  if [ "$files" = 1 ]; then COMPREPLY+=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}")); fi
}}
complete -F _deltabook deltabook
"""


def zsh(found: list[Place]) -> str:
    """For zsh, with what each word means."""

    def quoted(text: str) -> str:
        return "'" + text.replace("'", "'\\''") + "'"

    def described(word: Word) -> str:
        return quoted(word.text.replace(":", "\\:") + (f":{word.meaning}" if word.meaning else ""))

    cases = "\n".join(f"    {quoted(place.command)}) words_of=({' '.join(map(described, place.words))}); files={int(place.files)} ;;" for place in found)
    values = "\n".join(
        f"    {quoted(f'{place.command} {word.text}')}) words_of=({' '.join(map(quoted, word.values))}); files={int(word.files)} ;;"
        for place in found for word in place.words if word.values is not None
    )
    commands = "|".join(quoted(place.command) for place in found if place.command)
    return f"""#compdef deltabook
_deltabook() {{
  local word command='' files=0 i
  local -a words_of
  for ((i = 2; i < CURRENT; i++)); do
    word="${{command:+$command }}${{words[i]}}"
    case "$word" in {commands}) command="$word" ;; esac
  done
  case "$command ${{words[CURRENT - 1]}}" in
{values}
    *) case "$command" in
{cases}
    esac ;;
  esac
  _describe -o 'deltabook' words_of
  if [ "$files" = 1 ]; then _files; fi
}}
if [ "$funcstack[1]" = _deltabook ]; then _deltabook "$@"; else compdef _deltabook deltabook; fi
"""


def fish(found: list[Place]) -> str:
    """For fish, with what each word means."""

    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    lines = ["# deltabook's completion for fish", "complete -c deltabook -f"]
    for place in found:
        inner = [other.command.rpartition(" ")[2] for other in found if other.command.rpartition(" ")[0] == place.command and other.command]
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in place.command.split()) or "true"
        condition = f"{seen}; and not __fish_seen_subcommand_from {' '.join(inner)}" if inner else seen
        for word in place.words:
            what = f"-l {word.text[2:]}" if word.text.startswith("--") else f"-a {quoted(word.text)}"
            follows = "" if word.values is None else " -r -F" if word.files else f" -x -a {quoted(' '.join(word.values))}"
            lines.append(f"complete -c deltabook -n {quoted(condition)} {what}{follows} -d {quoted(word.meaning)}")
        if place.files:
            lines.append(f"complete -c deltabook -n {quoted(condition)} -F")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}


def run(arguments: argparse.Namespace) -> int:
    """Print a script."""
    print(SCRIPTS[arguments.shell](list(places(parser_of(list(COMMANDS))))), end="")
    return 0
