"""``aframe sensitivity``: rank candidates and estimate the sensitive volume."""

import argparse

from aframe.commands.runs import add_cfg, run_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_cfg(parser)


def run(options: argparse.Namespace) -> None:
    """Rank candidates and estimate the sensitive volume."""
    from aframe.steps.answers import estimate_sensitivity
    from aframe.steps.devices import use_one_thread
    from aframe.steps.vetoes import veto_events

    use_one_thread()
    run = run_of(options.cfg)
    if run.config.vetoes.given:
        veto_events(run)
    estimate_sensitivity(run)
    print(run.plot("sensitive_volume.html"))
