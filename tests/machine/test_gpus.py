import pytest

from aframe.errors import ConfigurationError
from aframe.machine.gpus import check_gpus


def test_missing_gpus_are_refused() -> None:
    check_gpus("0,1", 2)
    check_gpus("GPU-5d2c,MIG-2/1/0", 1)
    check_gpus("7", 0)  # without a GPU, the CPU computes
    with pytest.raises(ConfigurationError, match=r"--gpus 1,2,7: this machine has no GPU 2, 7, it has 0, 1"):
        check_gpus("1,2,7", 2)
