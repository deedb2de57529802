"""Search for gravitational waves from merging black holes and neutron stars with neural networks."""

import os
from importlib.metadata import version

# Threads that wait must sleep: spinning ones make two busy processes on the same cores ten times slower. Read when
# torch is first imported, so it must stand here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = version("aframe")
