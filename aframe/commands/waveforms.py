"""``aframe waveforms``: signals of a run."""

import argparse

from aframe.commands.runs import add_cfg, run_of
from aframe.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_cfg(parser)
    parser.add_argument(
        "--stage",
        choices=["train", "validation", "test"],
        action="append",
        help="which, as often as wanted (default: all)",
    )


def run(options: argparse.Namespace) -> None:
    """Make signals."""
    from aframe import planning, steps

    steps.use_one_thread()
    run = run_of(options.cfg)
    for stage in options.stage or ["train", "validation", "test"]:
        if stage == "train":
            steps.generate_training_waveforms(run, Progress("training waveforms"))
            print(run.training_waveforms)
        elif stage == "validation":
            steps.generate_validation_waveforms(run, Progress("validation waveforms"))
            print(run.validation_waveforms)
        else:
            for batch in planning.plan_injections(run):
                steps.generate_injections(run, batch, Progress(f"injections of segment {batch.segment}"))
            steps.merge_injections(run)
            print(run.injections)
