"""Search for gravitational waves from merging black holes and neutron stars with neural networks."""

from importlib.metadata import version

__version__ = version("aframe")
