from pathlib import Path

import numpy as np
import pytest
import torch

from aframe.inference.adaptation import adapted, average_psds
from aframe.inference.recorded import recordings_of
from aframe.strain.files import write_background
from aframe.train.architectures import MatchedFilterNetwork

RATE, IFOS = 256.0, ("H1", "L1")
LEVELS = {"H1": 1e-21, "L1": 3e-21}


def write(directory: Path, pieces: list[tuple[float, float]], louder: float = 1.0) -> list[str]:
    """White noise, of another level in each detector. The last piece is louder."""
    paths, random = [], np.random.default_rng(0)
    for number, (start, duration) in enumerate(pieces):
        factor = louder if number == len(pieces) - 1 else 1.0
        strain = {ifo: factor * level * random.standard_normal(round(duration * RATE)) for ifo, level in LEVELS.items()}
        paths.append(str(directory / f"{number}.hdf5"))
        write_background(paths[-1], strain, start, RATE)
    return paths


def test_the_average_is_the_geometric_mean_over_all_strain(make_model, tmp_path: Path) -> None:
    """One of two equal pieces is ten times as loud, so that the PSD's mean is ten times as high."""
    model = make_model("matched_filter")
    recordings = recordings_of(write(tmp_path, [(1000.0, 1024.0), (5000.0, 1024.0)], 10.0), IFOS)
    psds = average_psds(model, recordings)
    assert psds is not None
    expected = [10 * 2 * level**2 / RATE for level in LEVELS.values()]
    for psd, level in zip(psds, expected, strict=True):
        np.testing.assert_allclose(psd[10:-10], level, rtol=0.15)


@pytest.mark.parametrize("duration", [8.0, 300.0])
def test_a_network_with_templates_gets_those_of_the_strain(make_model, tmp_path: Path, duration: float) -> None:
    model = make_model("matched_filter")
    assert isinstance(model.network, MatchedFilterNetwork)
    before = model.network.filters.colours.clone()
    searched = adapted(model, recordings_of(write(tmp_path, [(1000.0, duration)]), IFOS)).network
    assert isinstance(searched, MatchedFilterNetwork)
    # both detectors' noise is white
    colours = searched.filters.colours / searched.filters.colours.mean(1, keepdim=True)
    torch.testing.assert_close(colours[0], colours[1], rtol=0.6 if duration < 10 else 0.1, atol=0)
    assert (model.network.filters.colours == before).all()


def test_other_networks_and_short_strain_stay_as_they_are(make_model, tmp_path: Path) -> None:
    recordings = recordings_of(write(tmp_path, [(1000.0, 1.5)]), IFOS)
    for kind in ("matched_filter", "factorised"):
        model = make_model(kind)
        assert adapted(model, recordings) is model
