"""``aframe train``: Lightning's command line, and drawings of what came of it."""

import os
from collections.abc import Sequence


def run(options: Sequence[str]) -> None:
    """Run a training command of Lightning's, and draw what came of it."""
    from aframe.train.cli import main

    main(options)
    directory, is_first = os.environ.get("AFRAME_TRAIN_RUN_DIR"), os.environ.get("LOCAL_RANK", "0") == "0"
    if "fit" in options and directory and is_first:
        from aframe.report.training import draw_training

        print(f"Train: curves and examples: {', '.join(draw_training(directory))}", flush=True)
