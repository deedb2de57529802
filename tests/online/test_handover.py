import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from live_events import live_event

from aframe.errors import DataError
from aframe.inference.recorded import recordings_of
from aframe.online.handover import write_handover
from aframe.preprocessing import Whitening
from aframe.strain.recordings import read
from aframe.strain.resample import Stretch
from aframe.whitening import power_spectral_density

RATE = 256.0
WHITENING = Whitening(
    sample_rate=RATE, psd_length=16.0, fftlength=2.0, fduration=1.0, block_length=16.0, highpass=20.0, lowpass=None
)


@pytest.fixture
def strain() -> dict[str, Stretch]:
    generator = np.random.default_rng(3)
    start = np.floor(live_event().time) - 24
    data = {ifo: 1e-21 * generator.standard_normal(int(32 * RATE)) for ifo in ("H1", "L1")}
    return {ifo: Stretch(ifo, start, RATE, values) for ifo, values in data.items()}


def test_a_file_has_what_parameter_estimation_needs(strain: dict[str, Stretch], tmp_path: Path) -> None:
    event = live_event()
    path = write_handover(str(tmp_path), event, strain, WHITENING)
    assert path == str(tmp_path / "handover" / f"{event.name}.hdf5")
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "aframe-handover-1"
        assert json.loads(file.attrs["event"]) == event.document()
        assert file["H1"].attrs["snr"] == 20.5
        assert file["H1/strain"].attrs["x0"] == strain["H1"].start
        assert np.array_equal(file["L1/strain"][:], strain["L1"].data)
        expected = power_spectral_density(torch.from_numpy(strain["L1"].data[: 16 * 256]), RATE, 2.0)
        assert np.array_equal(file["L1/psd"][:], expected.numpy())
        assert file["L1/psd"].attrs["resolution_hz"] == 0.5
        assert file["L1/psd"].attrs["stop_gps_s"] == strain["L1"].start + 16


def test_aframe_infer_reads_its_strain(strain: dict[str, Stretch], tmp_path: Path) -> None:
    path = write_handover(str(tmp_path), live_event(), strain, WHITENING)
    for ifo, (recording,) in recordings_of([path], ("H1", "L1")).items():
        stretch = read(recording, recording.start, recording.stop)
        assert stretch.start == strain[ifo].start
        assert np.array_equal(stretch.data, strain[ifo].data)


def test_too_little_strain_is_one_line(strain: dict[str, Stretch], tmp_path: Path) -> None:
    late = {ifo: Stretch(ifo, each.start + 12, RATE, each.data) for ifo, each in strain.items()}
    with pytest.raises(DataError, match=r"strain of H1 from .* has no 16 s of noise before the event at 1126259462\.4"):
        write_handover(str(tmp_path), live_event(), late, WHITENING)
    assert not (tmp_path / "handover").exists()
