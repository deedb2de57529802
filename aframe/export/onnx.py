"""ONNX: a graph that runs without python, and proof that it computes the same."""

import logging
import warnings
from typing import cast

import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator

from aframe.export.graphs import Graph
from aframe.types import Array

OPSET = 22
"""The first in which convolutions and pooling may be in bfloat16."""


def export_onnx(graph: Graph, path: str, precision: str) -> None:
    """Export a graph with torch's exporter, the batch left free.

    Args:
        graph: What to export.
        path: Local path of the ONNX file.
        precision: In which it computes.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            graph.module,
            (torch.randn(2, *graph.input_shape),),
            input_names=[graph.input],
            output_names=[graph.output],
            dynamic_shapes={graph.input: {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            optimize=precision != "bfloat16",  # the optimiser folds norms into convolutions in single precision alone
        )
    assert program is not None
    program.save(path, external_data=False)


def run_onnx(path: str, inputs: Array, precision: str) -> Array:
    """What an ONNX file makes of its one input: by ONNX Runtime; in bfloat16 by ONNX's reference.

    Raises:
        onnx.checker.ValidationError: If the types in the graph do not fit each other.
    """
    name = onnx.load(path, load_external_data=False).graph.input[0].name
    if precision == "bfloat16":
        onnx.checker.check_model(path, full_check=True)
        outputs = cast(list[Array], ReferenceEvaluator(path).run(None, {name: inputs}))
        return outputs[0]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: inputs})[0]
