import numpy as np
import pytest
import torch

from aframe.errors import DataError
from aframe.preprocessing import Whitening
from aframe.strain.glitch_population import GlitchPopulation
from aframe.strain.glitches import glitches_between
from aframe.train.glitches import TrainingGlitches
from aframe.whitening import whiten_stream

RATE, START = 1024.0, 1262304000.0
WHITENING = Whitening(RATE, 8.0, 1.0, 1.0, 8.0, 32.0, None)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return 1e-23 * torch.randn(int(200 * RATE), dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def glitches(rate: float, seed: int = 3) -> TrainingGlitches:
    return TrainingGlitches.of("o3", rate, ("H1", "L1"), WHITENING, seed)


def test_glitches_are_as_loud_and_as_frequent_as_their_population_says(noise: torch.Tensor) -> None:
    """Blips are short, so that the sum of squares about one is the square of its SNR."""
    blips = tuple(row for row in glitches(60.0).population.distributions if row.glitch_class == "blip")
    chosen = TrainingGlitches(GlitchPopulation(blips), WHITENING, 3)
    added = chosen.added(noise, "L1", START) - noise
    table = glitches_between(chosen.population, "L1", START, START + 200, seed=chosen.seed)
    assert 3 < len(table) < 30  # 4 an hour times 60
    expected = 1e-23 / (RATE / 2) ** 0.5  # ASD of the noise
    white = added.numpy() / expected * (2 / RATE) ** 0.5
    time = table["glitch_time"] - START
    checked = 0
    for row in range(len(table)):
        if 1 < time[row] < 199 and np.sort(np.abs(time - time[row]))[1] > 1:
            piece = white[round((time[row] - 0.5) * RATE) : round((time[row] + 0.5) * RATE)]
            assert np.sqrt((piece**2).sum()) == pytest.approx(table["snr"][row], rel=0.15)
            checked += 1
    assert checked > 2


def test_parts_of_a_stretch_have_the_glitches_of_the_whole(noise: torch.Tensor) -> None:
    chosen, half = glitches(30.0), int(100 * RATE)
    whole = chosen.added(noise, "H1", START) - noise
    later = chosen.added(noise[half:], "H1", START + 100) - noise[half:]
    loud = whole[half:].abs() > 0.1 * whole.abs().max()
    torch.testing.assert_close(later[loud], whole[half:][loud], rtol=0.1, atol=0)
    assert torch.equal(chosen.added(noise, "H1", START), glitches(30.0).added(noise, "H1", START))
    assert not torch.equal(whole, glitches(30.0, 4).added(noise, "H1", START) - noise)


def test_whitened_strain_has_loud_moments(noise: torch.Tensor) -> None:
    plain, glitchy = (whiten_stream(each, WHITENING).data for each in (noise, glitches(60.0).added(noise, "L1", START)))
    assert plain.abs().max() < 6
    assert glitchy.abs().max() > 7
    assert glitchy.std() < 1.5  # the PSD is a median


def test_detectors_without_glitches_are_refused() -> None:
    with pytest.raises(DataError, match="not of K1"):
        TrainingGlitches.of("o3", 1.0, ("H1", "K1"), WHITENING, 0)
