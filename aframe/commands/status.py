"""``aframe status``: show the progress of a run from any terminal, during the run or after it."""

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
"""Exit code for each state of a run. argparse uses 2."""

SIGNS = {"done": "[green]✔[/]", "running": "[cyan]▶[/]", "failed": "[red]✘[/]", "interrupted": "[yellow]‖[/]",
         "to do": "[dim]·[/]"}  # fmt: skip

MAX_WATCH_INTERVAL = 86400.0
"""Maximum of ``--watch``, s: one day."""

MAX_FAILURES = 3
"""Maximum number of different failures that are printed for a step. The latest are printed."""


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
    """Print the progress of a run.

    Raises:
        ConfigurationError: If the interval of ``--watch`` is not positive or exceeds a day.
    """
    if options.watch is not None and not 0 < options.watch <= MAX_WATCH_INTERVAL:
        raise ConfigurationError(
            f"--watch {options.watch:g} must be positive, and at most {MAX_WATCH_INTERVAL:g}: give seconds "
            "between two looks"
        )
    artifacts = run_of(load_environment(options.directory), check=False)
    while True:
        seen = overview.look(artifacts)
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
    """Progress of a run as plain text.

    Args:
        seen: State of the run and its steps.
        directory: Directory of the run.

    Yields:
        One line for the run, one line per step, and lines for failures.
    """
    yield f"{directory}: {headline(seen)}"
    for status in seen.stages:
        yield f"{status.state:11}  {status.stage.name:31}  {'  '.join(filter(None, [detail(status), status.path]))}"
        yield from (f"{'':13}{trouble}" for trouble in troubles(status))


def headline(seen: Overview) -> str:
    """State of the whole run in one line."""
    words = [seen.state]
    if seen.last is not None and seen.state != "to do":
        ended = max(seen.last.updated, *(each.updated for status in seen.stages for each in status.troubled), 0.0)
        words.append(f"since {utc(seen.last.started)}" if seen.state == "running" else f"at {utc(ended)}")
    if seen.holder:
        words.append(f"({seen.holder})")
    log = f", log {seen.last.log}" if seen.last is not None and seen.last.log else ""
    return " ".join(words) + log


def detail(status: StageStatus) -> str:
    """Number of units that are done, and progress of the units at work."""
    words = []
    if status.stage.units and status.total is not None and not (status.state == "done" and status.stage.merged_by):
        words.append(f"{status.done}/{status.total} {status.stage.units}")
    if status.at_work and status.stage.units:
        words.append(f"{len(status.at_work)} running")
    if len(status.at_work) == 1:
        words += progress(status.at_work[0])
    if status.jobs:
        words.append("jobs: " + ", ".join(f"{number} {state}" for state, number in status.jobs.items()))
    if status.seconds_left is not None:
        words.append(f"{in_words(status.seconds_left)} left")
    return ", ".join(words)


def progress(activity: Activity) -> list[str]:
    """Progress of a process. If the process does not report progress, the time since its start."""
    if not activity.total:
        return [f"for {in_words(time.time() - activity.started)}"]
    share = 100 * activity.done / activity.total
    return [f"{activity.done:.0f} of {activity.total:.0f}{activity.unit} ({share:.0f} %)"]


def troubles(status: StageStatus) -> Iterator[str]:
    """Failed and interrupted units, the latest last, with their logs. Equal failures appear once."""
    alike: dict[tuple[str, str], list[Activity]] = {}
    for each in status.troubled:
        alike.setdefault((each.state, each.error), []).append(each)
    for (state, error), several in list(alike.items())[-MAX_FAILURES:]:
        last = several[-1]
        name = last.task if len(several) == 1 else f"{last.task} and {len(several) - 1} more"
        if state != "failed":
            yield f"{name}: interrupted after {utc(last.updated)}; the next run does it again or goes on with it"
            continue
        yield f"{name}: {error}"
        if last.log:
            yield f"log: {last.log}"
    if len(alike) > MAX_FAILURES:
        yield f"and {len(alike) - MAX_FAILURES} other failures"


def as_json(seen: Overview) -> dict[str, Any]:
    """State of the run and its steps as JSON data, with times in s and UTC."""

    def as_dictionaries(activities: Sequence[Activity]) -> list[dict[str, Any]]:
        return [
            dataclasses.asdict(each) | {name: utc(getattr(each, name)) for name in ("started", "since", "updated")}
            for each in activities
        ]

    return {
        "state": seen.state,
        "holder": seen.holder,
        "run": next(iter(as_dictionaries([seen.last] if seen.last else [])), None),
        "steps": [
            {"task": s.stage.task, "group": s.stage.part, "name": s.stage.name, "state": s.state, "done": s.done,
             "total": s.total, "units": s.stage.units, "seconds_left": s.seconds_left, "path": s.path, "jobs": s.jobs,
             "running": as_dictionaries(s.at_work), "troubled": as_dictionaries(s.troubled)}
            for s in seen.stages
        ],
    }  # fmt: skip


def _draw(seen: Overview, directory: str, is_again: bool) -> None:
    """Draw the run as a tree on the terminal.

    Args:
        seen: State of the run and its steps.
        directory: Directory of the run.
        is_again: Whether to clear the terminal before.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if is_again:
        console.clear()
    console.print(tree(seen, directory))


def tree(seen: Overview, directory: str) -> "Tree":
    """The pipeline as a tree of its parts, their steps and failures.

    Args:
        seen: State of the run and its steps.
        directory: Directory of the run.
    """
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
