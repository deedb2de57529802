"""Whether a model ranks real events first: each one against the rest of its stretch, and against simulated background.

    python benchmarks/real_events.py --data DIRECTORY [--model models/demo/model.pt] [--background background.hdf5]

The directory has GWOSC's files of 32 s about events in ``strain``, and stretches of Fourier-transformed strain in
``strain_fd`` (see real_noise.py). The default is $AFRAME_TEST_DATA; without it, nothing is measured. Each is searched
with ``aframe infer``. A row has the statistic of the loudest event within 0.2 s of the merger, less that of the loudest
other one of the stretch, or of the background if that is louder.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from _rows import at_least, sized, tell
from real_noise import DETECTORS, stretches

from aframe import cli
from aframe.tables import EventTable

GWOSC = {
    "GW150914": (1126259462.4, "1_LOSC_4_V2-1126259446-32.hdf5"),
    "GW151012": (1128678900.4, "1_LOSC_4_V2-1128678884-32.hdf5"),
    "GW170814": (1186741861.5, "1_GWOSC_16KHZ_R1-1186741846-32.hdf5"),
    "GW200129": (1264316116.4, "1_GWOSC_4KHZ_R1-1264316101-32.hdf5"),
}
"""Geocentric time of the merger, and the files' names without their detectors."""

NEAR = 0.2
"""Largest distance of an event from a merger, s."""

RATE = 1024.0
"""Sample rate of the stretches, Hz."""

UNSEEN = -100.0
"""Statistic where there is no event."""

FIRST = at_least(0.0)
"""An event is louder than everything else."""


def recordings(data: Path, scratch: Path) -> Iterator[tuple[str, float, list[str]]]:
    """Name, time and files of each event.

    Args:
        data: Directory of the data.
        scratch: Directory for files of the stretches.
    """
    for name, (time, ending) in GWOSC.items():
        files = [str(data / "strain" / f"{letter}-{letter}{ending}") for letter in DETECTORS]
        if all(map(os.path.exists, files)):
            yield name, time, files
    for stretch in stretches(data / "strain_fd", RATE):
        path = scratch / f"{stretch.name}.hdf5"
        with h5py.File(path, "w") as file:
            for letter, strain in zip(DETECTORS, stretch.strain, strict=True):
                series = file.create_dataset(f"{letter}1", data=strain)
                series.attrs.update(x0=stretch.start, dx=1 / RATE)
        yield stretch.name, stretch.start + stretch.event, [str(path)]


def search(model: str, files: list[str], output: Path) -> EventTable:
    """Events of some files.

    Args:
        model: Path of the model.
        files: The files.
        output: Event table to write.
    """
    arguments = ["infer", "--model", model, "--strain", *files, "--output", str(output), "--precision", "float32"]
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(arguments)
    return EventTable.read(str(output))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AFRAME_TEST_DATA", "")), help="directory")
    shipped = Path(__file__).parents[1] / "models" / "demo" / "model.pt"
    parser.add_argument("--model", default=str(shipped), help="model that searches")
    parser.add_argument("--background", help="background.hdf5 of a run with this model")
    options = parser.parse_args()
    floor = UNSEEN
    if options.background:
        floor = EventTable.read(options.background)["detection_statistic"].max()
    with tempfile.TemporaryDirectory() as scratch:
        events = list(recordings(options.data, Path(scratch)))[: sized(None, 3)]
        if not events:
            tell("real_event", None, "statistic above the next one", note=f"no strain in {options.data}")
        for name, time, files in events:
            table = search(options.model, files, Path(scratch) / "events.hdf5")
            statistic, distance = table["detection_statistic"], np.abs(table["detection_time"] - time)
            loudest = statistic[distance <= NEAR].max(initial=UNSEEN)
            others = statistic[distance > NEAR].max(initial=UNSEEN)
            note = f"{loudest:.1f}; loudest other {others:.1f}, loudest of the background {floor:.1f}"
            unit = "statistic above the next one"
            tell(f"real_event_{name}", float(loudest - max(others, floor)), unit, FIRST, note=note)


if __name__ == "__main__":
    main()
