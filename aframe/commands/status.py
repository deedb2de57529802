"""``aframe status``: what of a run there is."""

import argparse

from aframe import storage
from aframe.commands.runs import add_directory, load_environment, run_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_directory(parser)


def run(options: argparse.Namespace) -> None:
    """Print which artifacts of a run exist."""
    run = run_of(load_environment(options.directory), check=False)
    parts = {
        "training strain": run.segments("train"),
        "training waveforms": run.training_waveforms,
        "validation waveforms": run.validation_waveforms,
        "testing strain": run.segments("test"),
        "testing injections": run.injections,
        "trained model": run.model,
        "exported model": run.served_model,
        "background events": run.events("background"),
        "recovered injections": run.events("foreground"),
        "zero-lag events": run.events("0lag"),
        "sensitive volume": run.plot("sensitive_volume.h5"),
        "report": run.result("report.html"),
    }
    for name, path in parts.items():
        print(f"{'done ' if storage.exists(path) else 'to do'}  {name:22} {path}")
