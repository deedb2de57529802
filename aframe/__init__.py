"""Search for gravitational waves from merging black holes and neutron stars with neural networks."""

import os
from importlib.metadata import version

# Threads that wait must soon sleep: spinning ones make two busy processes on the same cores ten times slower, while
# those that sleep at once lose a quarter of the speed on free cores. Read when torch is first imported, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = version("aframe")
