"""Search for gravitational waves from merging black holes and neutron stars with neural networks."""

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aframe.notebook import Search, read_background

# Threads that wait must soon sleep: spinning ones make two busy processes on the same cores ten times slower, while
# those that sleep at once lose a quarter of the speed on free cores. Read when torch is first imported, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# ONNX Runtime would tell its makers of each session, and warn where it cannot keep a device's number in the home.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Search", "__version__", "read_background"]

__version__ = version("aframe")


def __getattr__(name: str) -> Any:
    """What notebooks use, imported when it is asked for: matplotlib, astropy and bilby take seconds."""
    if name in ("Search", "read_background"):
        return getattr(import_module("aframe.notebook"), name)
    raise AttributeError(f"module 'aframe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
