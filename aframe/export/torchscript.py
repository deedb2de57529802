"""TorchScript: what Triton's own torch backend runs."""

import warnings

import torch

from aframe.export.graphs import Graph
from aframe.types import Array


def export_torchscript(graph: Graph, path: str) -> None:
    """Trace a graph, the batch left free, and write it.

    Args:
        graph: What to export.
        path: Local path of the file.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # deprecated in torch, but the format of the server
        traced = torch.jit.trace(graph.module, graph.sample(2), check_trace=False)
        torch.jit.save(traced, path)


def run_torchscript(path: str, inputs: Array) -> Array:
    """What a TorchScript file makes of its one input."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)(torch.from_numpy(inputs)).numpy()
