"""``aframe tune``: many trainings with other values of chosen keys, and the best of them."""

import argparse
import importlib.util
import os
from pathlib import Path

from aframe import storage
from aframe.commands.runs import add_cfg, run_of
from aframe.errors import ConfigurationError
from aframe.machine.processes import begin_collection, postpone_collection
from aframe.progress import activity

TASK = "Tune"
"""Name of the task in a run."""

BESIDE = "sandbox.cfg"
"""Name of a run's .cfg, which is looked for beside the YAML of the study."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", type=storage.locate, metavar="FILE",
        help="the study's YAML; without it only --example works (default: none)",
    )  # fmt: skip
    add_cfg(parser)
    parser.add_argument(
        "--gpus", default="",
        help="GPUs, as in CUDA_VISIBLE_DEVICES: one worker trains on all, several on one each (default: the CPU)",
    )  # fmt: skip
    parser.add_argument("--example", action="store_true", help="print a study's YAML, and end (default: run a study)")
    parser.epilog = (
        "Type the same command again to continue an interrupted study, and in another terminal or on another machine "
        "to help with it. Without --cfg and LAW_CONFIG_FILE, the run is that of sandbox.cfg beside the YAML."
    )


def run(options: argparse.Namespace) -> None:
    """Run a study, and print its best training and its page."""
    if options.example:
        print(Path(__file__).parents[1].joinpath("tuning", "example.yaml").read_text(encoding="utf-8"), end="")
        return
    if not options.config:
        raise ConfigurationError("which study? give --config FILE; `aframe tune --example` prints such a file")
    if importlib.util.find_spec("optuna") is None:
        raise ConfigurationError("aframe tune needs Optuna: pip install 'aframe[tune]'")
    postpone_collection()
    from aframe.steps.devices import use_one_thread
    from aframe.tuning.outcome import run_study

    begin_collection()
    use_one_thread()  # this process only chooses; a process with several threads cannot be forked
    beside = Path(options.config).absolute().with_name(BESIDE)
    chosen = options.cfg or (None if "LAW_CONFIG_FILE" in os.environ else str(beside))
    with activity.of_stage(TASK):
        print(run_study(options.config, run_of(chosen, check=False), options.gpus))
