"""``aframe completion``: what makes a shell complete commands, options and their values."""

import argparse
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

ZSH = "#compdef aframe\nautoload -U +X bashcompinit && bashcompinit\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="which shell")
    parser.epilog = (
        'bash: eval "$(aframe completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; '
        "fish: aframe completion fish > ~/.config/fish/completions/aframe.fish"
    )


def run(options: argparse.Namespace) -> None:
    """Print it."""
    print({"bash": bash, "zsh": lambda: ZSH + bash(), "fish": fish}[options.shell](), end="")


def declared() -> dict[str, list[argparse.Action]]:
    """Options and arguments of each command that are told of."""
    return {
        name: [action for action in parser._actions if action.help != argparse.SUPPRESS]
        for name, parser in cli.subparsers(cli.build_parser(cli.ALL)).items()
    }


def words(actions: list[argparse.Action]) -> list[str]:
    """All that may begin a word on a command's line."""
    long = [string for action in actions for string in action.option_strings if string.startswith("--")]
    return long + [str(c) for action in actions if not action.option_strings for c in action.choices or ()]


def bash() -> str:
    """For bash, whose files it completes where no option fits."""
    commands = declared()
    options = [f'        {name}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(words(actions)))} -- "$word")) ;;'
               for name, actions in commands.items()]  # fmt: skip
    values = [
        f'        "{name} {action.option_strings[0]}") '
        f'COMPREPLY=($(compgen -W {shlex.quote(" ".join(map(str, action.choices)))} -- "$word")); return ;;'
        for name, actions in commands.items()
        for action in actions
        if action.option_strings and action.choices
    ]
    common = ["--help", "--version", "--debug", "--quiet"]
    listed = shlex.quote(" ".join([*commands, *common]))
    return BASH.format(commands=listed, options="\n".join(options), values="\n".join(values))


def fish() -> str:
    """For fish, with what each command and option means."""
    lines = ["# aframe's commands and options: put this in ~/.config/fish/completions/aframe.fish"]
    for name, told in cli.COMMANDS.items():
        lines.append(f"complete -c aframe -f -n __fish_use_subcommand -a {name} -d {shlex.quote(told)}")
    for name, actions in declared().items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for action in actions:
            told = shlex.quote(" ".join((action.help or "").split()))
            choices = f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}" if action.choices else ""
            flag = "" if action.nargs == 0 or choices else " -r"
            long = [string.removeprefix("--") for string in action.option_strings if string.startswith("--")]
            if long:
                lines.append(f"complete -c aframe {seen} -l {long[0]} -d {told}{flag}{choices}")
            elif choices:
                lines.append(f"complete -c aframe -f {seen}{choices.replace(' -x', '')} -d {told}")
    return "\n".join(lines) + "\n"
