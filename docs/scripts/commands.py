"""Writes ``docs/commands.md`` from the parsers of the ``aframe`` command: run it after changing an option."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from aframe import cli

PAGE = Path(__file__).parent.parent / "commands.md"

HEAD = """# Commands

`aframe COMMAND --help` prints the same. Each command also takes, before or after its name, `--debug` (the traceback of
an error, and all that luigi logs), `--quiet` (errors alone) and `--version`. A wrong command line ends with exit code
2, an error with 1 and one line that says what to mend.

On a terminal progress is shown as bars, elsewhere as plain lines. `aframe run` and `law run` keep all that they print,
with the time (UTC), in `logs/` beside the run's `.cfg`.

What makes a shell complete commands and options is what `aframe completion bash`, `zsh` or `fish` prints.
"""

TRAIN = "[training.md](training.md) says what `fit`'s options do, [kubernetes.md](kubernetes.md) those of `submit`."

COMMON = {"--help", "--version", "--debug", "--quiet"}


def page() -> str:
    """The page."""
    return HEAD + "".join(
        f"\n## `aframe {name}`\n\n{parser.description}\n\n{chr(10).join(table(parser))}\n"
        + (f"\n{TRAIN}\n" if name == "train" else "")
        for name, parser in parsers()
    )


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command, and each step of a command, with its parser."""
    for name, parser in cli.subparsers(cli.build_parser(cli.ALL)).items():
        yield name, parser
        for step, inner in cli.subparsers(parser).items():
            yield f"{name} {step}", inner


def table(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A line for each option and argument of a command, and what its help ends with."""
    yield from ("| option | meaning |", "|---|---|")
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and not {"--help", "--version", "--debug", "--quiet"} & {
            *action.option_strings
        }:
            yield f"| `{shown(action)}` | {' '.join((action.help or '').split()).replace('|', chr(92) + '|')} |"
    if parser.epilog:
        yield f"\n{parser.epilog}"


def shown(action: argparse.Action) -> str:
    """An option as it is typed."""
    value = r"\|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
    if not action.option_strings:
        return str(value if action.choices else action.dest.upper())
    return action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {value}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
