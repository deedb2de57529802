"""``aframe doctor``: check this machine, and estimate the costs of a run."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import load_environment, run_of
from aframe.errors import AframeError

if TYPE_CHECKING:
    from aframe.runs.artifacts import Artifacts

SIGNS = {"fine": ("✔", 32), "wrong": ("✘", 31), "absent": ("–", 2)}
"""Sign of each state of a finding, and its colour on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", type=storage.locate, nargs="?", help="directory of a run (default: none)")
    parser.add_argument("--quick", action="store_true", help="measure nothing, tell no costs (default: both)")
    parser.epilog = (
        "✔ is fine, – is absent and not needed, ✘ is to be mended, as the line after it says. The exit code is 1 where "
        "anything is to be mended, else 0."
    )


def run(options: argparse.Namespace) -> None:
    """Check this machine, and estimate the costs of a run."""
    from aframe.checks.machine import check_up

    artifacts, bytes_left = None, 0.0
    costs: list[str] = []
    if options.directory:
        try:
            artifacts = run_of(load_environment(options.directory), check=False)
            if not options.quick:
                costs, bytes_left = _costs(artifacts)
        except AframeError as error:
            costs = [f"the costs cannot be estimated: {error}"]
    findings = check_up(artifacts, options.directory or "", bytes_left)
    for finding in findings:
        sign, colour = SIGNS[finding.state]
        sign = f"\033[{colour}m{sign}\033[0m" if sys.stdout.isatty() else sign
        print(sign, f"{finding.thing:14} {finding.description}")
        if finding.mend:
            print(f"  {'':14} → {finding.mend}")
    if costs:
        print("\n".join(["", *costs]))
    if any(finding.state == "wrong" for finding in findings):
        raise SystemExit(1)


def _costs(run: "Artifacts") -> tuple[list[str], float]:
    """Lines with the costs of a run, and the number of bytes that the run still has to write."""
    from aframe.costs.amounts import amounts
    from aframe.costs.estimate import downloads, estimate, table
    from aframe.costs.rates import measure
    from aframe.steps import overview

    print("measuring how fast this machine is", file=sys.stderr, flush=True)
    amounts_of_run, rates = amounts(run), measure(run)
    costs = estimate(run, amounts_of_run, rates)
    unfinished = {status.stage.name for status in overview.look(run).stages if status.state != "done"}

    def lines() -> Iterator[str]:
        yield from table(costs, [cost.stage for cost in costs if cost.stage in unfinished])
        where = "a core and the GPU" if rates.device == "cuda" else "a core; GPU-hours are counted, not measured"
        yield f"Measured here, on {where}"
        if amounts_of_run.is_assumed:
            yield "Taken for granted that the detectors observe together 60 % of the time: nobody has asked GWOSC yet"
        download_bytes = sum(downloads(run, amounts_of_run))
        if download_bytes:
            yield f"Open data to fetch: {download_bytes / 1e9:.0f} GB, taken to arrive at 10 MB/s"

    return list(lines()), sum(cost.bytes for cost in costs if cost.stage in unfinished)
