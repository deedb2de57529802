import pytest

from aframe.errors import ConfigurationError
from aframe.preprocessing import to_samples


def test_seconds_become_whole_samples_or_an_error():
    assert to_samples(0.1, 1000.0) == 100
    with pytest.raises(ConfigurationError, match=r"fduration = 0\.0333 s is 68\.1984 samples at 2048"):
        to_samples(0.0333, 2048.0, "fduration")
