"""Proof, before anything is served, that what was exported computes what torch does."""

from collections.abc import Callable

import numpy as np
import torch

from aframe.errors import AframeError
from aframe.export.graphs import Graph
from aframe.types import Array

TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference from torch in single precision, relative to the size of what comes out."""


def check(run: Callable[[Array], Array], reference: Graph, precision: str, path: str) -> float:
    """Largest difference of an exported graph from torch in single precision, relative to the size of what comes out.

    Args:
        run: The exported graph: inputs to outputs.
        reference: The same graph in torch and in single precision.
        precision: In which the exported graph computes.
        path: Where it lies, for the error.

    Raises:
        AframeError: If it exceeds the precision's tolerance, or if anything is no number.
    """
    is_costly = reference.output_shape[0] > 1 and not reference.module.network.is_factorised
    batch_size = 1 if is_costly else 3  # not the two that the exporter was shown
    inputs = reference.sample(batch_size)
    with torch.inference_mode():
        expected = reference.module(inputs).numpy()
    outputs = run(inputs.numpy())
    if outputs.shape != expected.shape:
        raise AframeError(f"{path} gives shape {outputs.shape}, not {expected.shape}: report this")
    difference = float(np.abs(outputs - expected).max() / max(1.0, np.abs(expected).max()))
    if not difference <= TOLERANCES[precision]:
        raise AframeError(
            f"{path} differs from the torch model by {difference:.2g} (relative), more than {TOLERANCES[precision]} in "
            f"{precision}: do not serve it; export it again with the versions in constraints.txt, or in float32"
        )
    return difference
