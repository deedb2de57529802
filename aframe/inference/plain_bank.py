"""The plain bank: an ideal matched-filter search without any training, as a model that the engine scores with."""

import math
from dataclasses import replace

import torch

from aframe.bank.template_bank import TemplateBank
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import PlainBank
from aframe.train.architectures.decimation import coincidence_over
from aframe.train.model import Model

LONGEST_STEP = 32
"""Largest number of samples in a step. Within a step, the detectors' loudest moments add."""


def plain_bank(bank: TemplateBank, preprocessing: Preprocessing, light_travel_time: float) -> Model:
    """Make the model whose score is half the squared network SNR of the best template.

    The score of a window is max Σ |z|²/2: the sum is over the detectors, the maximum over the templates and the steps
    of the window.

    Args:
        bank: The templates.
        preprocessing: Preprocessing of the windows. A window is longer than a template.
        light_travel_time: Longest light travel time between two detectors, s.

    Returns:
        The model. Its coalescences are those of the templates that fit into a window.

    Raises:
        ConfigurationError: If a window is too short, or its stride is no multiple of 8 samples.
    """
    rate = preprocessing.whitening.sample_rate
    network = PlainBank(
        len(preprocessing.ifos),
        preprocessing.kernel_size,
        groups=1,
        step_size=math.gcd(preprocessing.stride_size, LONGEST_STEP),
        coincidence=coincidence_over(light_travel_time, rate),
        coherent=False,
    )
    mass, psds = torch.from_numpy(bank.chirp_mass), torch.from_numpy(bank.psds)
    network.set_bank(bank.templates, mass, psds, phase=preprocessing.whitening.phase)
    first = bank.template_size / rate - bank.after
    coalescence = (first, preprocessing.kernel_length - bank.after)
    return Model(network.eval().requires_grad_(False), replace(preprocessing, coalescence=coalescence))
