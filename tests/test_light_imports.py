"""The command line before it does anything: what it imports."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "scipy", "lal", "gwpy", "astropy", "lightning", "s3fs", "aiohttp", "botocore", "bilby", "luigi"}
"""Packages that take a good part of a second, or several, to import."""

LIGHT = ("cli", "settings.read", "settings.together", "runs.artifacts", "steps.planning", "storage", "storage.leases",
         "progress.ledger", "progress.activity", "steps.overview", "machine.console", "checks.machine", "commands.init",
         "commands.run", "commands.runs", "commands.status", "commands.doctor", "commands.completion")  # fmt: skip
"""Modules of which commands are made that answer at once."""


@pytest.mark.parametrize("module", LIGHT)
def test_what_answers_at_once_imports_nothing_heavy(module):
    code = f"import sys, aframe.{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
