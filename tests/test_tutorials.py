"""Tutorials do what they say: their commands are run as they stand, in a copy of the clone's top directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tutorials

from aframe.tables import EventTable

ROOT = Path(__file__).parents[1]

TUTORIALS = ("first-run", "own-data", "own-prior", "own-network", "full-analysis")

PAGES = (*TUTORIALS, "physics")
"""Pages with commands."""

PATIENCE = 3600
"""Seconds that a page may take: minutes on two idle cores, more where others work."""

PLANTED_GPS = 1262305700.0
"""Coalescence time of the signal in docs/own-data.md."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A directory that looks like a fresh clone in which ``make venv`` was run."""
    for entry in ROOT.iterdir():
        if entry.name not in (".git", ".venv", "runs", "site"):
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def follow(page: tutorials.Page, directory: Path) -> str:
    """Type a page's commands; what they print."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AFRAME_", "LAW_"))}
    environment = inherited | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        ["bash", "-c", page.script], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output[-6000:]
    return output


@pytest.mark.docs
@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_does_what_it_says(name, clone):
    page = tutorials.read(ROOT / "docs" / f"{name}.md")
    output = follow(page, clone)
    print(output)
    assert page.leaves or name not in TUTORIALS
    missing = [path for path in page.leaves if not (clone / path).is_file()]
    assert not missing
    assert "Traceback" not in output
    if name == "own-data":
        found = EventTable.read(str(clone / "my_candidates.hdf5"))
        loudest = found["detection_statistic"].argmax()
        assert found["detection_time"][loudest] == pytest.approx(PLANTED_GPS, abs=0.2)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_has_commands_and_says_why_some_are_not_run(name):
    page = tutorials.read(ROOT / "docs" / f"{name}.md")
    assert "aframe run" in page.script
    assert "source .venv/bin/activate" in page.script
    subprocess.run(["bash", "-n"], input=page.script, text=True, check=True)


def test_blocks_are_run_saved_or_shown(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        '# A page\n\n```bash\nls kept/file.py\n```\n\n```python title="kept/file.py"\nprint("it\'s $HOME")\n```\n\n'
        "<!-- not run: needs a cluster -->\n```bash\nsbatch\n```\n\n```text\nshown\n```\n\n<!-- leaves: a b/c -->\n"
    )
    read = tutorials.read(page)
    assert read.leaves == ("a", "b/c")
    assert read.left_out == {"needs a cluster": "sbatch\n"}
    assert "shown" not in read.script
    typed, saved = read.script.index("ls kept/file.py"), read.script.index("cat > kept/file.py")
    assert "echo 'page.md:4'" in read.script
    assert typed < saved
    subprocess.run(
        ["bash", "-c", f"set -e\n{read.script.replace('ls kept/file.py', 'true')}"], cwd=tmp_path, check=True
    )
    assert (tmp_path / "kept" / "file.py").read_text() == 'print("it\'s $HOME")\n'


def test_a_command_that_fails_fails_the_page(tmp_path):
    with pytest.raises(AssertionError, match="no such command"):
        follow(tutorials.Page("set -euo pipefail\necho 'no such command' && false\necho after\n", (), {}), tmp_path)
