"""The ``aframe`` command. It imports only the module of the chosen subcommand."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from aframe import __version__
from aframe.errors import AframeError, StorageError
from aframe.machine import console
from aframe.machine.processes import shed_foreign_settings
from aframe.settings.keys import nearest

COMMANDS = {
    "init": "write a run's configuration into a new directory",
    "run": "run the whole pipeline; resumes where it was interrupted",
    "status": "show how far a run has come, while it goes on or afterwards",
    "data": "find segments and make strain, for training and testing",
    "waveforms": "make signals to train with, to validate with, and to inject",
    "train": "Lightning's command line, as in aframe train fit --config train.yaml; aframe train submit: on Kubernetes",
    "tune": "train many times with other values of chosen keys, and keep the best network",
    "export": "export a model to a Triton model repository",
    "serve": "run a Triton server on a model repository until it is interrupted",
    "infer": "apply a model to strain files, or score a run's time slides",
    "online": "search strain as it arrives, and issue events; aframe online status tells how it goes",
    "event": "search the strain around known events, by their names, times or observing run",
    "plot": "show a stretch of a run's data: strain, whitened strain, scores, events",
    "sensitivity": "rank candidates and estimate the sensitive volume",
    "limit": "search a run's data with a plain bank of matched filters, and compare the network with it",
    "release": "compute volumes from released injections: of their pipelines, and of a search of their frames",
    "report": "build a run's report anew from what there is",
    "challenge": "make the machine-learning mock data challenge's data, search them, and score the search",
    "doctor": "check this machine, and tell what a run will cost",
    "completion": "print what makes a shell complete aframe's commands and options",
}
"""Help text of each command. Its name is that of its module in ``aframe.commands``."""

WITH_PROGRESS = (
    *("data", "waveforms", "tune", "export", "infer", "event"),
    *("sensitivity", "limit", "report", "challenge"),
)
"""Commands whose progress a terminal shows as bars. ``run`` sets up its own bars."""

ALL = "*"
"""Stands for every command."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full device, or of a user who has no more room on it."""

BARRED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE)
"""Errors of files that the system does not give to this user."""

MAKE_SPACE = "make some, or send it elsewhere, and run the same command again"
"""Advice to the user for a full device."""


class Parser(argparse.ArgumentParser):
    """Parser that reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Print an error and end with exit code 2."""
        self.exit(2, f"error: {self.prog}: {message}; `{self.prog} --help` tells all\n")


def build_parser(chosen: str = "") -> Parser:
    """Build the parser of all commands.

    Args:
        chosen: Command whose options are declared, or ``ALL``. Modules of other commands are not imported.
    """
    parser = Parser(prog="aframe", description="Search strain for compact binary mergers with neural networks.")
    _add_common(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
        if chosen in (name, ALL):
            import_module(f"aframe.commands.{name}").add_arguments(command)
        _add_common(command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Declare the options that are valid before and after the name of each command."""
    parser.add_argument(
        "--version", action="version", version=f"aframe {__version__}", help="print the version, and end"
    )
    for name, help_text in (
        ("debug", "show the traceback of an error, and all that luigi logs (default: one line)"),
        ("quiet", "show errors alone (default: progress, notes and warnings too)"),
    ):
        parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=help_text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Errors that a user can correct end it with one line and exit code 1.

    Args:
        arguments: Words of the command line; None for those of this process.
    """
    options = list(sys.argv[1:] if arguments is None else arguments)
    shed_foreign_settings()
    console.open_closed()
    console.spell_out()
    try:
        try:
            _dispatch(options)
        except SystemExit:  # from help, and from commands with other exit codes
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except AframeError as error:
        if os.environ.get("AFRAME_DEBUG"):
            raise
        print(error.description, file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader of the output has closed it, as head does
        console.drop_unwritable(sys.stdout)
        raise SystemExit(1) from None
    except OSError as error:
        reason = _reason(error)
        if not reason or os.environ.get("AFRAME_DEBUG"):
            raise
        console.drop_unwritable(sys.stdout)
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        console.stop()


def _reason(error: OSError) -> str:
    """What the user can mend of an error about a file. Empty if the program may be at fault."""
    if error.errno in FULL:
        where = error.filename or "what is printed, or a file,"
        return f"there is no space left where {where} is to go: {MAKE_SPACE}"
    if error.errno in BARRED and error.filename:
        return f"{error.filename} cannot be used ({error.strerror}): mend its permissions or the path"
    return ""


def _dispatch(options: Sequence[str]) -> None:
    """Parse a command line and run its command.

    Raises:
        StorageError: If the working directory no longer exists.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise StorageError("the working directory has been deleted: change to another one") from None
    name = next((option for option in options if not option.startswith("-")), "")
    parser = build_parser(name)
    if name and name not in COMMANDS:
        parser.error(f"there is no command {name!r}{nearest(name, COMMANDS)}")
    if "--debug" in options:
        os.environ["AFRAME_DEBUG"] = "1"
    if "--quiet" in options:
        os.environ[console.QUIET] = "1"
    arguments = [option for option in options if option not in ("--debug", "--quiet")]
    is_shown = name in WITH_PROGRESS and sys.stdout.isatty() and sys.stderr.isatty()
    if name == "train":
        if "--version" in options:
            parser.parse_args(["--version"])
        arguments.remove(name)
        if not arguments or arguments[0].startswith("-"):  # without a subcommand, the options are those of train
            parser.parse_args([name, *arguments[:1]])
        _show(is_shown)
        import_module("aframe.commands.train").run(arguments)
        return
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        _refuse(parser, name, unknown[0], getattr(parsed, "step", ""))
    if not name:
        parser.print_help()
        return
    if name != "run":
        _show(is_shown)
    import_module(f"aframe.commands.{name}").run(parsed)


def _show(is_terminal: bool) -> None:
    """Start a console that shows progress as bars on a terminal, or only errors with ``--quiet``."""
    if is_terminal or os.environ.get(console.QUIET):
        console.start(None)


def _refuse(parser: Parser, name: str, option: str, step: str) -> NoReturn:
    """End with the error that a command has no such option. The message names the most similar option.

    Args:
        parser: Parser of all commands.
        name: Name of the command; empty if there is none.
        option: The unknown option.
        step: Step of a command that has several; empty otherwise.
    """
    command = subparsers(parser)[name] if name else parser
    command = subparsers(command)[step] if step else command
    strings = [string for action in command._actions for string in action.option_strings]
    given = option.partition("=")[0]
    if given in strings:
        command.error(f"{given} stands behind --, where no options are: put it before")
    command.error(f"there is no option {given}{nearest(given, strings)}")


def subparsers(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """The parser of each command, or of each step of a command. Empty if there are none."""
    actions = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parsers: dict[str, Parser] = next((action.choices for action in actions), {})
    return parsers


if __name__ == "__main__":
    main()
