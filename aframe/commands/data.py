"""``aframe data``: strain of a run."""

import argparse

from aframe.commands.runs import add_cfg, run_of
from aframe.progress.lines import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_cfg(parser)
    parser.add_argument(
        "--stage", choices=["train", "test"], action="append", help="which, as often as wanted (default: all)"
    )


def run(options: argparse.Namespace) -> None:
    """Find segments and prepare strain."""
    from aframe.steps.devices import use_one_thread
    from aframe.steps.strain import fetch_strain, find_segments, segments_of

    use_one_thread()
    run = run_of(options.cfg)
    for stage in options.stage or ["train", "test"]:
        find_segments(run, stage)
        segments = segments_of(run, stage)
        progress = Progress(f"{stage}ing strain, segments")
        for number, segment in enumerate(segments, start=1):
            fetch_strain(run, stage, segment)
            progress(number, len(segments))
        print(f"{len(segments)} segments in {run.data_directory(stage)}")
