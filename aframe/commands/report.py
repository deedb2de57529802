"""``aframe report``: build the report of a run again."""

import argparse
from pathlib import Path

from aframe.commands.runs import add_directory, load_environment, run_of
from aframe.errors import AframeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_directory(parser)


def run(options: argparse.Namespace) -> None:
    """Build the report of a run again.

    Raises:
        AframeError: If the directory does not exist.
    """
    from aframe.steps import overview
    from aframe.steps.answers import build_report

    run = run_of(load_environment(options.directory))
    if not Path(options.directory).is_dir():
        raise AframeError(f"{options.directory} is no directory: give a run's directory")
    build_report(run)
    print(f"report: {run.result('report.html')}")
    lacking = overview.lacking(run, overview.look(run).stages)
    if lacking:
        message = f"the run is not finished, its report lacks {', '.join(lacking)}"
        print(f"{message}: `aframe run {options.directory}` goes on")
