"""The command line before it does anything: what it imports."""

import subprocess
import sys

HEAVY = {"torch", "scipy", "lal", "gwpy", "astropy", "lightning", "s3fs", "aiohttp", "botocore", "bilby", "luigi"}
"""Packages that take a good part of a second, or several, to import."""

LIGHT = ("cli", "settings.read", "settings.together", "runs.artifacts", "steps.planning", "storage", "storage.leases",
         "progress.ledger", "progress.activity", "steps.overview", "machine.console", "checks.machine", "commands.init",
         "commands.run", "commands.runs", "commands.status", "commands.doctor", "commands.completion")  # fmt: skip
"""Modules of which commands are made that answer at once."""


def test_what_answers_at_once_imports_nothing_heavy():
    """One process imports all: where nothing is heavy, no single one is."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(f'aframe.{name}')\n"
        "    print(name, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, *LIGHT], capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == [*LIGHT]
    for name, *packages in lines:
        assert not HEAVY & set(packages), name
