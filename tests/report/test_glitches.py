import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from aframe import storage
from aframe.report.gather import gather
from aframe.report.glitches import glitches_html
from aframe.tables import EventTable, GlitchTable


@pytest.fixture
def directory(run_directory: Path, tmp_path: Path) -> Path:
    """A run whose ten loudest background events are blips of L1 in slides of 40 s."""
    shutil.copytree(run_directory, tmp_path / "run")
    events = EventTable.read(str(tmp_path / "run" / "results" / "background.hdf5"))
    order = np.argsort(-events["detection_statistic"])
    events.parameters["shift"][:, 1] = 40.0
    times = 1.26e9 + 50.0 * np.arange(10)
    events.parameters["detection_time"][order] = 1.26e9 - 1000.0
    events.parameters["detection_time"][order[:10]] = times - 40.0
    events.write(
        str(tmp_path / "run" / "results" / "background.hdf5"),
        storage.made_with(str(run_directory / "results" / "background.hdf5")),
    )
    columns = {
        "glitch_time": times, "ifo": np.full(10, "L1"), "glitch_class": np.full(10, "low_frequency_blip"),
        "duration": np.full(10, np.nan), "snr_in_band": np.full(10, 30.0),
    }  # fmt: skip
    GlitchTable(columns).write(str(tmp_path / "run" / "test" / "background" / "glitches.hdf5"))
    return tmp_path / "run"


def test_the_report_says_which_glitches_the_loudest_events_are(directory: Path) -> None:
    inputs = gather(str(directory / "results"), None, None, str(directory / "test"))
    assert inputs.glitches is not None
    assert inputs.glitches.among(10) == {"low_frequency_blip": 10}
    assert inputs.glitches.among(1000)[""] == 990
    page = glitches_html(inputs.glitches)
    cells = [[cell.split("<")[0] for cell in re.split("<t[dh][^>]*>", row)[1:]] for row in page.split("<tr>")[1:]]
    assert cells == [
        ["Class", "In H1", "In L1", "Loudest 10", "Loudest 100", "Loudest 1000", "By chance"],
        ["low frequency blip", "0", "10", "10", "10", "10", "3.3%"],
        ["no glitch", "", "", "0", "90", "990", "96.7%"],
    ]


def test_noise_without_glitches_has_no_such_table(run_directory: Path) -> None:
    assert gather(str(run_directory / "results"), None, None, str(run_directory / "test")).glitches is None
