"""Run every script of this directory in a separate process, and print a table of the measured values.

    python benchmarks [--quick] [NAME …]

If a script fails, prints no result, or exceeds its time limit, its row reports this, and the other scripts still run.
If a script failed or a value missed its target, the exit code is 1, and one line names them. After Ctrl-C, the table
contains the results so far.
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

TIME_LIMIT = 1800.0
"""Maximum duration of a script, s."""

QUICK_TIME_LIMIT = 600.0
"""Maximum duration of a script with ``--quick``, s."""

TIME_LIMITS = {"glitches": 7200.0, "networks": 3600.0, "training_input": 3600.0, "year_of_background": 7200.0}
"""Maximum durations of slow scripts without ``--quick``, s."""

OUTPUT_TIMEOUT = 5.0
"""Seconds within which the last output of a dead script must arrive."""

SIGNS = {AT_LEAST: "≥", AT_MOST: "≤"}
"""Sign of each direction of a target."""


@dataclass
class Outcome:
    """Result of a script.

    Attributes:
        name: Name of the script.
        rows: Measured values.
        seconds: Duration, s.
        failure: Reason of a failure; empty if the script succeeded.
    """

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    failure: str = ""

    def run(self, script: Path, limit: float, environment: Mapping[str, str]) -> None:
        """Run the script, print its output, and collect its rows.

        Args:
            script: Path of the script.
            limit: Maximum duration, s.
            environment: Environment variables.
        """
        self.failure, start = "interrupted", time.monotonic()
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
            subprocess.Popen(
                [sys.executable, str(script)],
                env={**environment, "TMPDIR": scratch},  # so that a killed script leaves no files
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
        """Print all lines of an output, and collect the rows among them."""
        assert output is not None
        for line in output:
            if line.startswith('{"benchmark": '):
                self.rows.append(json.loads(line))
            print(line, end="", flush=True)

    def _failure(self, code: int, is_late: bool, limit: float, errors: "LastLine") -> str:
        """Reason of a failure; empty if the script succeeded.

        Args:
            code: Exit code.
            is_late: Whether the script exceeded its time limit.
            limit: The time limit, s.
            errors: Last line on stderr.
        """
        if is_late:
            return f"not done after {limit:g} s"
        if code:
            ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            return ": ".join(filter(None, (ended, errors.text())))
        return "" if self.rows else "it printed no result"

    def cells(self) -> list[tuple[str, ...]]:
        """Rows of the script in the table. The first row contains its duration."""
        table = [
            (row["benchmark"], _value(row), row["unit"], _target(row), _reached(row), "", row.get("note") or "")
            for row in self.rows
        ]
        if self.failure:
            table.append((self.name, "-", "", "-", "FAILED", "", self.failure))
        return [(*cells[:5], f"{self.seconds:.0f}" if k == 0 else "", cells[6]) for k, cells in enumerate(table)]


class LastLine:
    """Last line of a stream that is not blank. All lines are printed to stderr.

    Args:
        stream: The stream. A thread reads it to its end.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        assert stream is not None
        self._line = ""
        self._thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def _listen(self, stream: IO[str]) -> None:
        """Print all lines of the stream, and keep the last one."""
        for line in stream:
            sys.stderr.write(line)
            sys.stderr.flush()
            self._line = line.strip() or self._line

    def text(self) -> str:
        """Return the line after the end of the stream."""
        self._thread.join(OUTPUT_TIMEOUT)
        return self._line


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a script and all processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _value(row: dict[str, Any]) -> str:
    """Cell with the value and its error."""
    if row["value"] is None:
        return "-"
    error = row.get("error")
    return f"{row['value']:.4g}" + ("" if error is None else f" ± {error:.2g}")


def _target(row: dict[str, Any]) -> str:
    """Cell with the target."""
    return "-" if row["target"] is None else f"{SIGNS[row['direction']]} {row['target']:g}"


def _reached(row: dict[str, Any]) -> str:
    """Cell that states whether the value reaches its target."""
    if row["value"] is None:
        return "not run"
    return {True: "yes", False: "NO", None: "-"}[row["ok"]]


def table(outcomes: Sequence[Outcome]) -> str:
    """Table of all rows of all scripts."""
    heading = ("benchmark", "value", "unit", "target", "reached", "seconds", "note")
    rows = [heading, *(cells for outcome in outcomes for cells in outcome.cells())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Failed scripts and missed targets in one line; empty if there are none."""
    failed = [outcome.name for outcome in outcomes if outcome.failure]
    missed = [row["benchmark"] for outcome in outcomes for row in outcome.rows if row["ok"] is False]
    groups = {"failed": failed, "missed their targets": missed}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items() if names)


def main(arguments: Sequence[str] | None = None, folder: Path = Path(__file__).parent) -> None:
    """Run all scripts, or those on the command line.

    Args:
        arguments: Words of the command line; None for those of this process.
        folder: Directory of the scripts.

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
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C, so that no script outlives this process
        signal.signal(number, signal.default_int_handler)
    outcomes: list[Outcome] = []
    try:
        for name in chosen.names or scripts:
            outcomes.append(Outcome(name))
            print(f"\n{name}", flush=True)
            limit = QUICK_TIME_LIMIT if chosen.quick else TIME_LIMITS.get(name, TIME_LIMIT)
            outcomes[-1].run(scripts[name], limit, environment)
    except KeyboardInterrupt:
        print(f"\n{table(outcomes)}", flush=True)
        raise SystemExit(130) from None
    print(f"\n{table(outcomes)}", flush=True)
    if message := verdict(outcomes):
        raise SystemExit(message)


if __name__ == "__main__":
    main()
