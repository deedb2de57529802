"""``aframe run``: run the whole pipeline."""

import argparse
import os
import sys
from pathlib import Path

from aframe import storage
from aframe.commands.runs import begin_environment
from aframe.errors import ConfigurationError
from aframe.machine.processes import cores
from aframe.runs.directories import Directories
from aframe.runs.script import renew_script
from aframe.settings.read import read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", type=storage.locate, help="directory that `aframe init` wrote")
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES; each inference worker has one (default: the CPU)"
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="tasks that run at the same time (default: one per core)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run nothing: look for all that is wrong, as every run does at its start (default: run)",
    )


def run(options: argparse.Namespace) -> None:
    """Start the ``run.sh`` of a run, or check the run for mistakes.

    Raises:
        ConfigurationError: If an option is not valid, or ``run.sh`` does not exist.
        MistakesError: If the configuration has mistakes.
    """
    if options.workers < 0:
        raise ConfigurationError(f"--workers {options.workers} must be positive")
    script = Path(options.directory).absolute() / "run.sh"
    if not script.exists() and not script.with_name("sandbox.cfg").exists():
        raise ConfigurationError(
            f"{script} does not exist: write the run's files with `aframe init {options.directory}`"
        )
    path, mistakes = begin_environment(options.directory)
    if options.check or mistakes or Directories.read()[1] or read_config(path)[1]:
        from aframe.checks.run import checked_run
        from aframe.steps.engines import warn_of_emulation

        warn_of_emulation(checked_run(path, gpus=options.gpus, misread=mistakes), options.gpus)
        print(f"{options.directory}: no mistakes found")
        return
    note = renew_script(script.parent)
    if note:
        print(f"note: {note}", file=sys.stderr)
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    sys.stdout.flush()
    workers = options.workers or cores()
    command = ["bash", str(script), "--gpus", options.gpus, "--workers", str(workers)]
    os.execvpe(command[0], command, environment)  # a signal to this process then reaches the run
