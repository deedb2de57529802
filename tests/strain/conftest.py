from collections.abc import Callable

import pytest

from aframe.settings.sections import Data, Search


@pytest.fixture
def search() -> Search:
    return Search(
        ifos=("H1", "L1"), sample_rate=2048.0, kernel_length=1.5, psd_length=8.0, fftlength=1.0, fduration=1.0,
        block_length=8.0, highpass=32.0, inference_sampling_rate=4.0, seed=7,
    )  # fmt: skip


@pytest.fixture
def data() -> Callable[..., Data]:
    def build(**changes: object) -> Data:
        values = {"source": "simulated", "train_start": 0.0, "train_stop": 1.0, "test_stop": 2.0} | changes
        return Data(**{"min_duration": 10.0, "max_duration": 1e6} | values)  # type: ignore[arg-type]

    return build
