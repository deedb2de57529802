"""Check that an exported graph computes the same as torch, before a server gets it."""

from collections.abc import Callable

import numpy as np
import torch

from aframe.errors import AframeError
from aframe.export.graphs import Graph
from aframe.types import Array

TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest allowed difference from torch in single precision, relative to the largest output, by precision."""


def check(run: Callable[[Array], Array], reference: Graph, precision: str, path: str) -> float:
    """Compare an exported graph with torch in single precision.

    Args:
        run: Runs the exported graph: inputs to outputs.
        reference: The same graph in torch and in single precision.
        precision: Precision of the exported graph.
        path: Path of the exported graph, for the error.

    Returns:
        Largest difference, relative to the largest output.

    Raises:
        AframeError: If the difference exceeds the precision's tolerance, or an output is no number.
    """
    is_costly = reference.output_shape[0] > 1 and not reference.module.network.is_factorised
    batch_size = 1 if is_costly else 3  # other than the exporter's batch of two
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
