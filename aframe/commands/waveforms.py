"""``aframe waveforms``: generate the signals of a run, and its bank of templates."""

import argparse

from aframe.commands.runs import add_cfg, run_of
from aframe.progress.lines import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_cfg(parser)
    parser.add_argument(
        "--stage",
        choices=["train", "bank", "validation", "test"],
        action="append",
        help="which, as often as wanted (default: all; bank, of templates, if the network needs one)",
    )


def run(options: argparse.Namespace) -> None:
    """Generate signals and templates."""
    from aframe.steps import planning
    from aframe.steps.bank import make_bank
    from aframe.steps.devices import use_one_thread
    from aframe.steps.waveforms import (
        generate_injections,
        generate_training_waveforms,
        generate_validation_waveforms,
        merge_injections,
    )

    use_one_thread()
    run = run_of(options.cfg)
    for stage in options.stage or ["train", *(["bank"] if run.needs_bank else []), "validation", "test"]:
        if stage == "train":
            generate_training_waveforms(run, Progress("training waveforms"))
            print(run.training_waveforms)
        elif stage == "bank":
            make_bank(run, Progress("templates"))
            print(run.bank)
        elif stage == "validation":
            generate_validation_waveforms(run, Progress("validation waveforms"))
            print(run.validation_waveforms)
        else:
            for batch in planning.plan_injections(run):
                generate_injections(run, batch, Progress(f"injections of segment {batch.segment}"))
            merge_injections(run)
            print(run.injections)
