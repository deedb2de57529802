"""What a training takes from the search that it trains for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aframe.bank.template_bank import TemplateBank
from aframe.preprocessing import Whitening, to_samples
from aframe.waveforms.mixtures import AnyPopulation
from aframe.waveforms.polarizations import WaveformGenerator


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """Files and numbers that a training shares with the other stages of a search.

    Attributes:
        ifos: Detectors.
        sample_rate: Of all strain, Hz.
        kernel_length: Of a window, s.
        inference_sampling_rate: Windows per second of strain, Hz.
        whitening: How strain is whitened.
        integration_window_length: Length over which a validation averages scores, s.
        cluster_window_length: Length within which a validation keeps only the loudest event, s.
        seed: Of everything random.
        directory: Where the training data lie, local or on S3.
        background_files: Lists the background files, in order of time.
        signal_model: Gives the population and the generator of its polarizations, where signals are drawn anew.
        bank: Reads the template bank of a network that needs one.
    """

    ifos: tuple[str, ...]
    sample_rate: float
    kernel_length: float
    inference_sampling_rate: float
    whitening: Whitening
    integration_window_length: float
    cluster_window_length: float
    seed: int
    directory: str
    background_files: Callable[[], Sequence[str]]
    signal_model: Callable[[], tuple[AnyPopulation, WaveformGenerator]]
    bank: Callable[[], TemplateBank]

    @property
    def kernel_size(self) -> int:
        """Samples in a window."""
        return to_samples(self.kernel_length, self.sample_rate, "kernel_length")

    @property
    def stride_size(self) -> int:
        """Samples from one window to the next."""
        return to_samples(1 / self.inference_sampling_rate, self.sample_rate, "1 / inference_sampling_rate")
