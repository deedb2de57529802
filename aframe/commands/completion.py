"""``aframe completion``: scripts with which a shell completes commands, options and their values."""

import argparse
import re
import shlex

from aframe import cli

BASH = """# aframe's commands and options: source this, or put it where bash-completion looks
_aframe() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command="" each
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $each in -*) ;; *) command=$each; break ;; esac
    done
    case "$command $before" in
{values}
    esac
    case $command in
        "") COMPREPLY=($(compgen -W {commands} -- "$word")) ;;
{options}
    esac
}}
complete -o default -F _aframe aframe
"""

ZSH = """#compdef aframe
# aframe's commands and options: source this after compinit, or name it _aframe in a directory of fpath
_aframe() {{
    local -a commands=(
{commands}
    )
    local state line
    _arguments -C {common} '1: :->command' '*:: :->arguments'
    case $state in
        command) _describe command commands ;;
        arguments) case $line[1] in
{arguments}
        esac ;;
    esac
}}
if [ "$funcstack[1]" = _aframe ]; then _aframe "$@"; else compdef _aframe aframe; fi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="which shell")
    parser.epilog = (
        'bash: eval "$(aframe completion bash)" in ~/.bashrc; zsh: eval "$(aframe completion zsh)" in ~/.zshrc, after '
        "compinit; "
        "fish: aframe completion fish > ~/.config/fish/completions/aframe.fish"
    )


def run(options: argparse.Namespace) -> None:
    """Print the completion script of a shell."""
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](), end="")


def declared() -> dict[str, list[argparse.Action]]:
    """Options and arguments of each command, without hidden options. Those of its steps follow, each once."""
    commands = {}
    for name, parser in cli.subparsers(cli.build_parser(cli.ALL)).items():
        parsers = [parser, *cli.subparsers(parser).values()]
        shown = (action for each in parsers for action in each._actions if action.help != argparse.SUPPRESS)
        commands[name] = list({action.dest: action for action in shown}.values())
    return commands


def long(action: argparse.Action) -> str:
    """Long name of an option; empty for an argument."""
    return next((string for string in action.option_strings if string.startswith("--")), "")


def words(actions: list[argparse.Action]) -> list[str]:
    """Words that can follow a command: long options, and choices of arguments."""
    options = [long(action) for action in actions if action.option_strings]
    return options + [str(c) for action in actions if not action.option_strings for c in action.choices or ()]


def bash() -> str:
    """Completion script for bash. It completes file names if no option matches."""
    options = [f'        {name}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(words(actions)))} -- "$word")) ;;'
               for name, actions in declared().items()]  # fmt: skip
    values = [
        f'        "{name} {action.option_strings[0]}") '
        f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(map(str, action.choices)))} -- "$word")); return ;;'
        for name, actions in declared().items()
        for action in actions
        if action.option_strings and action.choices
    ]
    return BASH.format(
        commands=shlex.quote(" ".join(words(cli.build_parser()._actions))),
        options="\n".join(options),
        values="\n".join(values),
    )


def zsh() -> str:
    """Completion script for zsh, with the descriptions of commands and options."""
    common = [action for action in cli.build_parser()._actions if action.option_strings]
    arguments = [
        f"            {name}) _arguments {' '.join(map(_zsh, actions))} ;;" for name, actions in declared().items()
    ]
    return ZSH.format(
        commands="\n".join(
            f"        {shlex.quote(f'{name}:{description}')}" for name, description in cli.COMMANDS.items()
        ),
        common=" ".join(map(_zsh, common)),
        arguments="\n".join(arguments),
    )


def _zsh(action: argparse.Action) -> str:
    """Specification of an option or argument for ``_arguments`` of zsh."""
    description = re.sub(r"([\[\]:\\])", r"\\\1", " ".join((action.help or "").split()))
    values = f"({' '.join(map(str, action.choices))})" if action.choices else "_files"
    if not action.option_strings:
        return shlex.quote(f":{description}:{values}")
    takes = "" if action.nargs == 0 else f":{action.dest}:{values}"
    repeated = "*" if isinstance(action, argparse._AppendAction) else ""
    others = f" '*:{action.dest}:{values}'" if action.nargs == "+" else ""
    return shlex.quote(f"{repeated}{long(action)}[{description}]{takes}") + others


def fish() -> str:
    """Completion script for fish, with the descriptions of commands and options."""
    lines = ["# aframe's commands and options: put this in ~/.config/fish/completions/aframe.fish"]
    for name, description in cli.COMMANDS.items():
        lines.append(f"complete -c aframe -f -n __fish_use_subcommand -a {name} -d {shlex.quote(description)}")
    for name, actions in declared().items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for action in actions:
            description = shlex.quote(" ".join((action.help or "").split()))
            choices = f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}" if action.choices else ""
            flag = "" if action.nargs == 0 or choices else " -r"
            if action.option_strings:
                lines.append(f"complete -c aframe {seen} -l {long(action)[2:]} -d {description}{flag}{choices}")
            elif choices:
                lines.append(f"complete -c aframe -f {seen}{choices.replace(' -x', '')} -d {description}")
    return "\n".join(lines) + "\n"
