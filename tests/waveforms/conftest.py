import numpy as np
import pytest
import torch
from bilby.gw.detector import PowerSpectralDensity

from aframe.waveforms.polarizations import WaveformGenerator

RATE = 2048.0


@pytest.fixture(scope="session")
def psds():
    """LIGO design noise (bilby's aLIGO curve) of two detectors, one a little quieter, every half a hertz."""
    curve = PowerSpectralDensity(asd_file="aLIGO_O4_high_asd.txt")
    frequency = np.linspace(0.0, RATE / 2, 2049)
    psd = np.interp(frequency, curve.frequency_array, curve.psd_array)
    return torch.tensor(np.stack([psd, 0.8 * psd]))


@pytest.fixture(scope="session")
def generator():
    return WaveformGenerator("IMRPhenomPv2", RATE, 8.0, 0.5, 20.0, 50.0)
