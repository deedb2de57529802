"""Types that everything may name; those of tensors, which take torch, are in ``aframe.tensors``."""

from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
"""Any numpy array."""
