"""Search for gravitational waves from merging black holes and neutron stars with neural networks."""

import os

import os
from importlib.metadata import version

# Threads that wait must sleep: where cores are shared, spinning ones cost torch nine tenths of its speed. It is read when
# torch is first imported, so it must stand here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("aframe")

# Threads that spin while they wait make two busy processes on the same cores twenty times slower; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
