"""``aframe train``: Lightning's command line with plots of the result, or training on Kubernetes."""

import argparse
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import add_cfg, load_environment, run_of
from aframe.machine.processes import begin_collection, postpone_collection
from aframe.progress import activity

if TYPE_CHECKING:
    from aframe.runs.artifacts import Artifacts

TASK = "Train"
"""Name of the task that trains in a run."""

STEPS = ("fit", "validate", "submit")
"""Subcommands. The first two belong to Lightning."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand. Each subcommand has its own options."""
    parser.add_argument("step", choices=STEPS, help="what is done; `aframe train STEP --help` lists its options")
    parser.epilog = (
        "fit trains: aframe train fit --config train.yaml, with LAW_CONFIG_FILE and the run's AFRAME_... directories "
        "set; it resumes where it was interrupted. validate scores a checkpoint. These have Lightning's options: every "
        "key of the YAML is one, as --trainer.max_epochs 20. submit trains a run on Kubernetes and follows its log: "
        "aframe train submit DIR, or with --dry-run shows what the cluster would be told."
    )


def run(options: Sequence[str]) -> None:
    """Run a training command of Lightning and plot the result, or submit a training with ``submit``."""
    if options and options[0] == "submit":
        submit(options[1:])
        return
    postpone_collection()
    from aframe.steps.training_cli import main

    begin_collection()
    directory, is_first = os.environ.get("AFRAME_TRAIN_RUN_DIR"), os.environ.get("LOCAL_RANK", "0") == "0"
    with activity.of_stage(TASK) if is_first else nullcontext():
        main(options, _window_seconds)
    if "fit" in options and directory and is_first:
        from aframe.report.training import draw_training

        print(f"Train: curves and examples: {', '.join(draw_training(directory))}", flush=True)


def _window_seconds(run: "Artifacts", training_yaml: str, precision: str, device: str) -> float:
    """Time in s that this machine needs to train with one window.

    A training that seems slow compares its speed with it.

    Args:
        run: The run.
        training_yaml: Path of the training's YAML.
        precision: Precision of the trainer.
        device: Type of device.
    """
    from aframe.costs.rates import training_seconds

    return training_seconds(run, training_yaml, precision, device)


def submit(options: Sequence[str]) -> None:
    """Train on Kubernetes with the settings of ``[luigi_kubernetes]``, or print the manifests."""
    from aframe.kubernetes import lifecycle

    parser = argparse.ArgumentParser(
        prog="aframe train submit",
        description="Train a run on Kubernetes and follow its log; follows a Job that is there.",
    )
    parser.add_argument(
        "directory",
        type=storage.locate,
        nargs="?",
        help="directory of the run (default: --cfg says which run)",
    )
    add_cfg(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the manifests, secrets masked, and submit nothing (default: submit)",
    )
    chosen = parser.parse_args(options)
    run = run_of(load_environment(chosen.directory) if chosen.directory else chosen.cfg, check=False)  # the pod checks
    if chosen.dry_run:
        print(lifecycle.dry_run(run, os.environ), end="")
    else:
        lifecycle.train(run)
