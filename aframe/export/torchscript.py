"""Export to TorchScript, the format of Triton's torch backend."""

import warnings

import torch

from aframe.export.graphs import Graph
from aframe.types import Array


def export_torchscript(graph: Graph, path: str) -> None:
    """Trace a graph for any batch size, and write it.

    Args:
        graph: Graph to export.
        path: Local path of the file.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript, but servers need it
        traced = torch.jit.trace(graph.module, graph.sample(2), check_trace=False)
        torch.jit.save(traced, path)


def run_torchscript(path: str, inputs: Array) -> Array:
    """Run a TorchScript file.

    Args:
        path: Local path of the file.
        inputs: Inputs with a batch axis in front, float32.

    Returns:
        Outputs with a batch axis in front, float32.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)(torch.from_numpy(inputs)).numpy()
