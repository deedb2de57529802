"""``aframe status``: how far a run has come, from any terminal, while it goes on or afterwards."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aframe.commands.runs import add_directory, load_environment, run_of
from aframe.errors import ConfigurationError
from aframe.progress.activity import Activity, utc
from aframe.progress.lines import in_words
from aframe.steps import overview
from aframe.steps.overview import Overview, StageStatus

if TYPE_CHECKING:
    from rich.tree import Tree

EXIT_CODES = {"done": 0, "failed": 1, "running": 3, "interrupted": 4, "to do": 4}
"""What the command ends with: 2 is argparse's."""

SIGNS = {"done": "[green]✔[/]", "running": "[cyan]▶[/]", "failed": "[red]✘[/]", "interrupted": "[yellow]‖[/]",
         "to do": "[dim]·[/]"}  # fmt: skip

LONGEST_WAIT = 86400.0
"""Seconds between two looks, at most: a day."""

TROUBLES_TOLD = 3
"""Different failures of a step that are told, the latest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_directory(parser)
    parser.add_argument(
        "--json", action="store_true", help="print all that is known as JSON (default: lines or a tree)"
    )
    parser.add_argument(
        "--watch", type=float, metavar="SECONDS", help="look again every so many s, until the run ends (default: once)"
    )
    parser.epilog = (
        "The exit code is 0 where the run is done, 1 where a task failed and nobody is at work, 3 while it goes on, "
        "and 4 where it was interrupted or has not begun."
    )


def run(options: argparse.Namespace) -> None:
    """Print how far a run has come.

    Raises:
        ConfigurationError: If it is to look again after no time, or hardly ever.
    """
    if options.watch is not None and not 0 < options.watch <= LONGEST_WAIT:
        raise ConfigurationError(
            f"--watch {options.watch:g} must be positive, and at most {LONGEST_WAIT:g}: give seconds between two looks"
        )
    found = run_of(load_environment(options.directory), check=False)
    while True:
        seen = overview.look(found)
        if options.json:
            print(json.dumps(as_json(seen), indent=1))
        elif sys.stdout.isatty():
            _draw(seen, options.directory, is_again=bool(options.watch))
        else:
            print("\n".join(lines(seen, options.directory)), flush=True)
        if not options.watch or seen.state != "running":
            raise SystemExit(EXIT_CODES[seen.state])
        time.sleep(options.watch)


def lines(seen: Overview, directory: str) -> Iterator[str]:
    """Plain lines: one for the run, one for each step, and what failed."""
    yield f"{directory}: {headline(seen)}"
    for status in seen.stages:
        yield f"{status.state:11}  {status.stage.name:31}  {'  '.join(filter(None, [detail(status), status.path]))}"
        yield from (f"{'':13}{trouble}" for trouble in troubles(status))


def headline(seen: Overview) -> str:
    """How the whole run stands."""
    told = [seen.state]
    if seen.last is not None and seen.state != "to do":
        ended = max(seen.last.updated, *(each.updated for status in seen.stages for each in status.troubled), 0.0)
        told.append(f"since {utc(seen.last.started)}" if seen.state == "running" else f"at {utc(ended)}")
    if seen.holder:
        told.append(f"({seen.holder})")
    log = f", log {seen.last.log}" if seen.last is not None and seen.last.log else ""
    return " ".join(told) + log


def detail(status: StageStatus) -> str:
    """How many units are done, and how far those at work are."""
    told = []
    if status.stage.units and status.total is not None and not (status.state == "done" and status.stage.merged_by):
        told.append(f"{status.done}/{status.total} {status.stage.units}")
    if status.at_work and status.stage.units:
        told.append(f"{len(status.at_work)} running")
    if len(status.at_work) == 1:
        told += progress(status.at_work[0])
    if status.jobs:
        told.append("jobs: " + ", ".join(f"{number} {state}" for state, number in status.jobs.items()))
    if status.seconds_left is not None:
        told.append(f"{in_words(status.seconds_left)} left")
    return ", ".join(told)


def progress(activity: Activity) -> list[str]:
    """How far a process has come, where it says so."""
    if not activity.total:
        return [f"for {in_words(time.time() - activity.started)}"]
    share = 100 * activity.done / activity.total
    return [f"{activity.done:.0f} of {activity.total:.0f}{activity.unit} ({share:.0f} %)"]


def troubles(status: StageStatus) -> Iterator[str]:
    """What failed or was interrupted, the latest last, and where to read more; what failed alike is told once."""
    alike: dict[tuple[str, str], list[Activity]] = {}
    for each in status.troubled:
        alike.setdefault((each.state, each.error), []).append(each)
    for (state, error), several in list(alike.items())[-TROUBLES_TOLD:]:
        last = several[-1]
        name = last.task if len(several) == 1 else f"{last.task} and {len(several) - 1} more"
        if state != "failed":
            yield f"{name}: interrupted after {utc(last.updated)}; the next run does it again or goes on with it"
            continue
        yield f"{name}: {error}"
        if last.log:
            yield f"log: {last.log}"
    if len(alike) > TROUBLES_TOLD:
        yield f"and {len(alike) - TROUBLES_TOLD} other failures"


def as_json(seen: Overview) -> dict[str, Any]:
    """All that is known, in seconds and UTC."""

    def told(activities: Sequence[Activity]) -> list[dict[str, Any]]:
        return [
            dataclasses.asdict(each) | {name: utc(getattr(each, name)) for name in ("started", "since", "updated")}
            for each in activities
        ]

    return {
        "state": seen.state,
        "holder": seen.holder,
        "run": next(iter(told([seen.last] if seen.last else [])), None),
        "steps": [
            {"task": s.stage.task, "group": s.stage.part, "name": s.stage.name, "state": s.state, "done": s.done,
             "total": s.total, "units": s.stage.units, "seconds_left": s.seconds_left, "path": s.path, "jobs": s.jobs,
             "running": told(s.at_work), "troubled": told(s.troubled)}
            for s in seen.stages
        ],
    }  # fmt: skip


def _draw(seen: Overview, directory: str, is_again: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if is_again:
        console.clear()
    console.print(tree(seen, directory))


def tree(seen: Overview, directory: str) -> "Tree":
    """The pipeline as a tree: its parts, their steps, and what failed."""
    from rich.markup import escape
    from rich.tree import Tree

    root = Tree(f"{SIGNS[seen.state]} [bold]{escape(directory)}[/] {escape(headline(seen))}")
    for group, members in groupby(seen.stages, key=lambda status: status.stage.part):
        branch = root.add(f"[bold]{group}[/]")
        for status in members:
            leaf = branch.add(f"{SIGNS[status.state]} {status.stage.name:31} {escape(detail(status))}")
            for trouble in troubles(status):
                leaf.add(f"[{'red' if status.state == 'failed' else 'yellow'}]{escape(trouble)}[/]")
    return root
