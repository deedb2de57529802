"""Run every script of this folder, let its output through, and print a table of what was measured.

What a script cannot measure here, for want of a GPU, it prints with ``value`` and ``ok`` null.
"""

import json
import subprocess
import sys
from pathlib import Path


def run(script: Path) -> list[dict[str, object]]:
    """The JSON lines that a script prints; everything it prints is passed on.

    Raises:
        SystemExit: If the script fails.
    """
    results = []
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("{"):
                results.append(json.loads(line))
    if process.returncode or not results:
        raise SystemExit(f"benchmark {script} failed with exit code {process.returncode} and {len(results)} results")
    return results


def main() -> None:
    """Run them all, or those named on the command line."""
    folder = Path(__file__).parent
    scripts = sorted(p for p in folder.glob("*.py") if p.name != "__main__.py")
    wanted = [script for script in scripts if not sys.argv[1:] or script.stem in sys.argv[1:]]
    rows = [("benchmark", "value", "unit", "target", "reached")]
    for result in (result for script in wanted for result in run(script)):
        value, ok = result["value"], {True: "yes", False: "NO", None: "not run"}[result["ok"]]
        shown = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
        rows.append((str(result["benchmark"]), shown, str(result["unit"]), str(result["target"]), ok))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
