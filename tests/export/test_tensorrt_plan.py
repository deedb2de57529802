import importlib.util
import sys
import types

import pytest

from aframe.errors import ConfigurationError
from aframe.export.tensorrt_plan import load_tensorrt


def test_without_tensorrt_the_error_names_an_alternative(monkeypatch):
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("tensorrt is installed")
    with pytest.raises(ConfigurationError, match=r"needs the package tensorrt, .* own version.*onnxruntime"):
        load_tensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))  # what PyPI gives without NVIDIA's index
    with pytest.raises(ConfigurationError, match="needs the package tensorrt"):
        load_tensorrt()
