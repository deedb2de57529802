"""Run every script of this folder, each on its own, and print a table of what they measured.

    python benchmarks [--quick] [NAME …]

A script that fails, says nothing, or exceeds its time limit is a row that says so, and the others go on. The exit code
is 1 if a script failed or a value missed its target, and one line names them. Ctrl-C ends it with the table so far.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from _rows import AT_LEAST, AT_MOST

LIMIT, QUICK_LIMIT = 1800.0, 600.0
"""Seconds that a script may take."""

LIMITS = {"networks": 3600.0, "training_input": 3600.0, "year_of_background": 7200.0}
"""Those that may take longer, if they are not to be quick."""

GRACE = 5.0
"""Seconds in which what a dead script wrote must have arrived."""

SIGNS = {AT_LEAST: "≥", AT_MOST: "≤"}


@dataclass
class Outcome:
    """What came of a script.

    Attributes:
        name: The script's.
        rows: What it measured.
        seconds: How long it took.
        failure: Why it did not end as it should; empty where it did.
    """

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    def run(self, script: Path, limit: float, environment: Mapping[str, str]) -> None:
        """Run the script, pass on all that it prints, and keep its rows."""
        self.failure, start = "interrupted", time.monotonic()
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
            subprocess.Popen(
                [sys.executable, str(script)],
                env={**environment, "TMPDIR": scratch},  # nothing is left of a script that is killed
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            timer, errors = threading.Timer(limit, kill, [process]), LastLine(process.stderr)
            timer.start()
            try:
                self._listen(process.stdout)
                self.failure = self._failure(process.wait(), time.monotonic() - start >= limit, limit, errors)
            finally:
                timer.cancel()
                kill(process)
                self.seconds = time.monotonic() - start

    def _listen(self, output: IO[str] | None) -> None:
        assert output is not None
        for line in output:
            if line.startswith('{"benchmark": '):
                self.rows.append(json.loads(line))
            print(line, end="", flush=True)

    def _failure(self, code: int, is_late: bool, limit: float, errors: "LastLine") -> str:
        if is_late:
            return f"not done after {limit:g} s"
        if code:
            ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            return ": ".join(filter(None, (ended, errors.text())))
        return "" if self.rows else "it printed no result"

    def cells(self) -> list[tuple[str, ...]]:
        """The script's rows of the table; its time stands in the first one."""
        table = [
            (row["benchmark"], _value(row), row["unit"], _target(row), _reached(row), "", row.get("note") or "")
            for row in self.rows
        ]
        if self.failure:
            table.append((self.name, "-", "", "-", "FAILED", "", self.failure))
        return [(*cells[:5], f"{self.seconds:.0f}" if k == 0 else "", cells[6]) for k, cells in enumerate(table)]


class LastLine:
    """The last line of a stream that says something; all of it is passed on to stderr.

    Args:
        stream: Read to its end by a thread.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self._line = ""
        self._thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            sys.stderr.write(line)
            sys.stderr.flush()
            self._line = line.strip() or self._line

    def text(self) -> str:
        """The line, once the stream has ended."""
        self._thread.join(GRACE)
        return self._line


def kill(process: "subprocess.Popen[str]") -> None:
    """End a script, and the processes that it has started, if any of them still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _value(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    error = row.get("error")
    return f"{row['value']:.4g}" + ("" if error is None else f" ± {error:.2g}")


def _target(row: dict[str, Any]) -> str:
    return "-" if row["target"] is None else f"{SIGNS[row['direction']]} {row['target']:g}"


def _reached(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "not run"
    return {True: "yes", False: "NO", None: "-"}[row["ok"]]


def table(outcomes: Sequence[Outcome]) -> str:
    """All rows of all scripts, in columns."""
    heading = ("benchmark", "value", "unit", "target", "reached", "seconds", "note")
    rows = [heading, *(cells for outcome in outcomes for cells in outcome.cells())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def verdict(outcomes: Sequence[Outcome]) -> str:
    """What failed and what missed its target, in one line; empty where nothing did."""
    failed = [outcome.name for outcome in outcomes if outcome.failure]
    missed = [row["benchmark"] for outcome in outcomes for row in outcome.rows if row["ok"] is False]
    told = {"failed": failed, "missed their targets": missed}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names)


def main(arguments: Sequence[str] | None = None, folder: Path = Path(__file__).parent) -> None:
    """Run them all, or those named on the command line.

    Raises:
        SystemExit: If a script failed or a value missed its target, or after Ctrl-C.
    """
    scripts = {path.stem: path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")}
    parser = argparse.ArgumentParser(
        prog="python benchmarks", description="Run benchmarks and print what they measure."
    )
    parser.add_argument("--quick", action="store_true", help="small amounts of work: minutes in all, less precise")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts (default: all): " + ", ".join(scripts))
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.names if name not in scripts]:
        parser.error(f"no such script: {', '.join(unknown)} (choose from {', '.join(scripts)})")
    environment = os.environ | ({"AFRAME_BENCHMARKS": "quick"} if chosen.quick else {})
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: else the script at work would outlive this process
        signal.signal(number, signal.default_int_handler)
    outcomes: list[Outcome] = []
    try:
        for name in chosen.names or scripts:
            outcomes.append(Outcome(name))
            print(f"\n{name}", flush=True)
            limit = QUICK_LIMIT if chosen.quick else LIMITS.get(name, LIMIT)
            outcomes[-1].run(scripts[name], limit, environment)
    except KeyboardInterrupt:
        print(f"\n{table(outcomes)}", flush=True)
        raise SystemExit(130) from None
    print(f"\n{table(outcomes)}", flush=True)
    if told := verdict(outcomes):
        raise SystemExit(told)


if __name__ == "__main__":
    main()
