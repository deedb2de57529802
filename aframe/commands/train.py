"""``aframe train``: Lightning's command line, and drawings of what came of it."""

import os
from collections.abc import Sequence

from aframe import activity
from aframe.errors import InterruptionError

TASK = "Train"
"""Whose work it does in a run."""


def run(options: Sequence[str]) -> None:
    """Run a training command of Lightning's, and draw what came of it."""
    from aframe.train.cli import main

    directory, is_first = os.environ.get("AFRAME_TRAIN_RUN_DIR"), os.environ.get("LOCAL_RANK", "0") == "0"
    told = os.environ.get(activity.FILE, "") if is_first else ""
    if told:
        activity.begin(told, TASK)
    try:
        main(options)
    except (KeyboardInterrupt, InterruptionError):
        raise
    except BaseException as error:
        if told:
            activity.fail(told, TASK, " ".join(str(error).split()) or type(error).__name__)
        raise
    if "fit" in options and directory and is_first:
        from aframe.report.training import draw_training

        print(f"Train: curves and examples: {', '.join(draw_training(directory))}", flush=True)
