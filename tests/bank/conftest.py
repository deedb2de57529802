from collections.abc import Callable

import numpy as np
import pytest
import torch

from aframe.bank.templates import TemplateMaker
from aframe.preprocessing import ZERO_PHASE, Whitening
from aframe.strain.noise_curves import load_asd
from aframe.strain.simulate import simulate
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw
from aframe.whitening import power_spectral_density, whitening_filter

RATE = 1024.0


@pytest.fixture(scope="session")
def make_maker() -> Callable[[str], TemplateMaker]:
    """Function that returns the maker of templates of the demo's length and a phase, in noise of bilby's O4 curve."""
    noise = torch.from_numpy(simulate(load_asd("aLIGO_O4_high_asd.txt"), "H1", 1e9, 1e9 + 128, RATE, seed=1))
    psd, generator = (
        power_spectral_density(noise, RATE, 1.0),
        WaveformGenerator("IMRPhenomPv2", RATE, 4.0, 1.0, 20.0, 50.0),
    )

    def make(phase: str) -> TemplateMaker:
        whitening = Whitening(RATE, 8.0, 1.0, 1.0, 8.0, 32.0, None, phase)
        return TemplateMaker(generator, whitening_filter(psd, whitening), 3.25, 0.25, whitening.after_size)

    return make


@pytest.fixture(scope="session")
def maker(make_maker: Callable[[str], TemplateMaker]) -> TemplateMaker:
    """Maker of templates of zero phase."""
    return make_maker(ZERO_PHASE)


@pytest.fixture
def draws() -> Callable[[int], dict[str, Array]]:
    """Function that draws binaries of the demo's population, always the same."""
    rng = np.random.default_rng(3)
    return lambda number: draw(demo_bbh(), number, rng)
