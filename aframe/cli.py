"""The ``aframe`` command: it knows the commands' names, and imports the one that is asked for."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from aframe import __version__
from aframe.errors import AframeError
from aframe.machine import console
from aframe.settings.keys import nearest

COMMANDS = {
    "init": "write a run's configuration into a new directory",
    "run": "run the whole pipeline; resumes where it was interrupted",
    "status": "show how far a run has come, while it goes on or afterwards",
    "data": "find segments and make strain, for training and testing",
    "waveforms": "make signals to train with, to validate with, and to inject",
    "train": "Lightning's command line, as in aframe train fit --config train.yaml; aframe train submit: on Kubernetes",
    "export": "export a model to a Triton model repository",
    "serve": "run a Triton server on a model repository until it is interrupted",
    "infer": "apply a model to strain files, or score a run's time slides",
    "plot": "show a stretch of a run's data: strain, whitened strain, scores, events",
    "sensitivity": "rank candidates and estimate the sensitive volume",
    "report": "build a run's report anew from what there is",
    "doctor": "check this machine, and tell what a run will cost",
    "completion": "print what makes a shell complete aframe's commands and options",
}
"""Names, which are those of the modules in ``aframe.commands``, and what help says of them."""

WITH_PROGRESS = ("data", "waveforms", "export", "infer", "sensitivity", "report")
"""Commands whose lines of progress a terminal shows as bars; ``run`` sees to its own."""

ALL = "*"
"""Stands for every command."""


MAKE_SPACE = "make some, or send it elsewhere, and run the same command again"
"""What mends a full device."""


class Parser(argparse.ArgumentParser):
    """Tells of a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"error: {self.prog}: {message}; `{self.prog} --help` tells all\n")


def build_parser(chosen: str = "") -> Parser:
    """The parser of all commands.

    Args:
        chosen: The command whose options are wanted, or ``ALL``; the others' modules are not imported.
    """
    parser = Parser(prog="aframe", description="Search strain for compact binary mergers with neural networks.")
    _add_common(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, told in COMMANDS.items():
        command = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if chosen in (name, ALL):
            import_module(f"aframe.commands.{name}").add_arguments(command)
        _add_common(command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Declare what is understood before and after each command's name."""
    parser.add_argument(
        "--version", action="version", version=f"aframe {__version__}", help="print the version, and end"
    )
    for name, told in (
        ("debug", "show the traceback of an error, and all that luigi logs (default: one line)"),
        ("quiet", "show errors alone (default: progress, notes and warnings too)"),
    ):
        parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=told)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors that a user can mend are one line and exit code 1."""
    options = list(sys.argv[1:] if arguments is None else arguments)
    console.spell_out()
    try:
        try:
            _dispatch(options)
        except SystemExit:  # of help, and of commands that have an exit code of their own
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except AframeError as error:
        if os.environ.get("AFRAME_DEBUG"):
            raise
        print(error.told, file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # whoever read has read enough, as head has
        console.drop_unwritable(sys.stdout)
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC or os.environ.get("AFRAME_DEBUG"):
            raise
        console.drop_unwritable(sys.stdout)
        where = error.filename or "what is printed, or a file,"
        print(f"error: there is no space left where {where} is to go: {MAKE_SPACE}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        console.stop()


def _dispatch(options: Sequence[str]) -> None:
    name = next((option for option in options if not option.startswith("-")), "")
    parser = build_parser(name)
    if name and name not in COMMANDS:
        parser.error(f"there is no command {name!r}{nearest(name, COMMANDS)}")
    if "--debug" in options:
        os.environ["AFRAME_DEBUG"] = "1"
    if "--quiet" in options:
        os.environ[console.QUIET] = "1"
    own = [option for option in options if option not in ("--debug", "--quiet")]
    is_shown = name in WITH_PROGRESS and sys.stdout.isatty() and sys.stderr.isatty()
    if name == "train":
        if "--version" in options:
            parser.parse_args(["--version"])
        own.remove(name)
        if not own or own[0].startswith("-"):  # the options are those of what it does, which is not said
            parser.parse_args([name, *own[:1]])
        _show(is_shown)
        import_module("aframe.commands.train").run(own)
        return
    parsed, unknown = parser.parse_known_args(own)
    if unknown:
        _refuse(parser, name, unknown[0])
    if not name:
        parser.print_help()
        return
    if name != "run":
        _show(is_shown)
    import_module(f"aframe.commands.{name}").run(parsed)


def _show(is_terminal: bool) -> None:
    """Show progress as bars, or errors alone, where that is wanted."""
    if is_terminal or os.environ.get(console.QUIET):
        console.start(None)


def _refuse(parser: Parser, name: str, option: str) -> NoReturn:
    """Say that a command has no such option, and which one is most like it."""
    command = subparsers(parser)[name] if name else parser
    known = [string for action in command._actions for string in action.option_strings]
    command.error(f"there is no option {option.partition('=')[0]}{nearest(option.partition('=')[0], known)}")


def subparsers(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """The parser of each command."""
    found: dict[str, Parser] = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    return found


if __name__ == "__main__":
    main()
