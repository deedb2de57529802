"""Shapes of tensors as types. Axis names are the same wherever a quantity appears."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Strain: TypeAlias = Float[Tensor, "... time"]
"""Strain, dimensionless, sampled evenly; leading axes are free."""

Psd: TypeAlias = Float[Tensor, "... frequency"]
"""One-sided power spectral density, 1/Hz."""

Taps: TypeAlias = Float[Tensor, "... taps"]
"""Impulse response of a whitening filter."""

Windows: TypeAlias = Float[Tensor, "batch ifos time"]
"""Whitened windows, as a network sees them, in its precision."""

Embeddings: TypeAlias = Float[Tensor, "batch ifos channels steps"]
"""What an encoder makes of one detector's stream."""

Scores: TypeAlias = Float[Tensor, " batch"]
"""Detection statistic (logit) of each window."""
