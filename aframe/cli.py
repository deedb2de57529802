"""The ``aframe`` command: it knows the commands' names, and imports the one that is asked for."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from aframe.errors import AframeError

COMMANDS = {
    "init": "write a run's configuration into a new directory",
    "run": "run the whole pipeline; resumes where it was interrupted",
    "status": "say which artifacts of a run exist",
    "data": "find segments and make strain, for training and testing",
    "waveforms": "make signals to train with, to validate with, and to inject",
    "train": "Lightning's command line: aframe train fit --config train.yaml",
    "export": "export a model to a Triton model repository",
    "serve": "run a Triton server on a model repository until it is interrupted",
    "infer": "apply a model to strain files, or score a run's time slides",
    "plot": "show a stretch of a run's data: strain, whitened strain, scores, events",
    "sensitivity": "rank candidates and estimate the sensitive volume",
    "report": "build a run's report anew from what there is",
}
"""Names, which are those of the modules in ``aframe.commands``, and what help says of them."""


def build_parser(chosen: str = "") -> argparse.ArgumentParser:
    """The parser of all commands; ``train`` has Lightning's.

    Args:
        chosen: The command whose options are wanted; the others' modules are not imported.
    """
    parser = argparse.ArgumentParser(
        prog="aframe", description="Search strain for compact binary mergers with neural networks."
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, told in COMMANDS.items():
        command = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
        if name == chosen:
            import_module(f"aframe.commands.{name}").add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors that a user can mend are one line and exit code 1."""
    options = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in options or bool(os.environ.get("AFRAME_DEBUG"))
    try:
        _dispatch(options)
    except AframeError as error:
        if debug:
            raise
        print(error.told, file=sys.stderr)
        raise SystemExit(1) from None
    except BrokenPipeError:  # whoever read has read enough, as head has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None


def _dispatch(options: Sequence[str]) -> None:
    if options[:1] == ["train"]:
        from aframe.commands import train

        train.run([option for option in options[1:] if option != "--debug"])
        return
    chosen = next((option for option in options if option in COMMANDS), "")
    parser = build_parser(chosen)
    parsed = parser.parse_args(options)
    if parsed.debug:
        os.environ["AFRAME_DEBUG"] = "1"
    if parsed.version:
        from aframe import __version__

        print(f"aframe {__version__}")
        return
    if parsed.command is None:
        parser.print_help()
        return
    import_module(f"aframe.commands.{parsed.command}").run(parsed)


if __name__ == "__main__":
    main()
