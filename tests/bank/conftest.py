from collections.abc import Callable

import numpy as np
import pytest
import torch

from aframe.bank.templates import TemplateMaker
from aframe.preprocessing import Whitening
from aframe.strain.noise_curves import load_asd
from aframe.strain.simulate import simulate
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw
from aframe.whitening import power_spectral_density, whitening_filter

RATE = 1024.0


@pytest.fixture(scope="session")
def maker() -> TemplateMaker:
    """Templates of the demo's length, in noise of bilby's O4 curve."""
    noise = torch.from_numpy(simulate(load_asd("aLIGO_O4_high_asd.txt"), "H1", 1e9, 1e9 + 128, RATE, seed=1))
    whitening = Whitening(RATE, 8.0, 1.0, 1.0, 8.0, 32.0, None)
    taps = whitening_filter(power_spectral_density(noise, RATE, 1.0), whitening)
    return TemplateMaker(WaveformGenerator("IMRPhenomPv2", RATE, 4.0, 1.0, 20.0, 50.0), taps, 3.25, 0.25)


@pytest.fixture
def draws() -> Callable[[int], dict[str, Array]]:
    """Function that draws binaries of the demo's population, always the same."""
    rng = np.random.default_rng(3)
    return lambda number: draw(demo_bbh(), number, rng)
