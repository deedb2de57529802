"""``aframe plot``: plot one stretch of the data of a run on a page."""

import argparse
import os

from aframe import storage
from aframe.commands.runs import load_environment, run_of
from aframe.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "directory", type=storage.locate, help="directory of the run, which has a trained model and testing strain"
    )
    parser.add_argument(
        "--time", type=float, required=True, help="middle of the stretch, GPS s, in the slide's time (required)"
    )
    parser.add_argument("--duration", type=float, default=16.0, help="length of the stretch, s (default: 16)")
    parser.add_argument("--slide", type=int, default=0, help="number of the time slide (default: 0, none is shifted)")
    parser.add_argument(
        "--injections",
        action="store_true",
        help="with the slide's injections: needs return_timeseries (default: without)",
    )
    parser.add_argument("--output", type=storage.locate, required=True, help="page to write, .html (required)")


def run(options: argparse.Namespace) -> None:
    """Write a page that plots one stretch of the data of a run.

    Raises:
        ConfigurationError: If an option is not valid.
    """
    from aframe.report.stretch_page import stretch_html
    from aframe.steps.scoring import look_at

    if options.duration <= 0 or options.slide < 0:
        raise ConfigurationError(f"--duration {options.duration} must be positive, --slide {options.slide} from 0 on")
    if not storage.has_suffix(options.output, ".html"):
        raise ConfigurationError(f"--output {options.output} is no page: give a name that ends with .html")
    if not storage.is_remote(options.output) and os.path.isdir(options.output):
        raise ConfigurationError(f"--output {options.output} is a directory: give a file in it")
    run = run_of(load_environment(options.directory))
    span = options.time - options.duration / 2, options.time + options.duration / 2
    stretch = look_at(run, options.slide, span, options.injections)
    title = f"Slide {options.slide} at GPS {options.time:.3f}"
    storage.write_text(options.output, stretch_html(stretch, title))
    print(f"{title}: {options.output}")
