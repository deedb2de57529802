"""Export to ONNX, and runs of ONNX files for checks."""

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
"""Version of ONNX's operators. It is the first with convolutions and pooling in bfloat16."""


def export_onnx(graph: Graph, path: str, precision: str) -> None:
    """Export a graph with torch's exporter, for any batch size.

    Args:
        graph: Graph to export.
        path: Local path of the ONNX file.
        precision: Precision of the graph.
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
            optimize=precision != "bfloat16",  # the optimiser cannot fold norms in bfloat16
        )
    assert program is not None
    program.save(path, external_data=False)


def run_onnx(path: str, inputs: Array, precision: str) -> Array:
    """Run an ONNX file with ONNX Runtime, or with ONNX's reference implementation in bfloat16.

    Args:
        path: Local path of the ONNX file.
        inputs: Inputs with a batch axis in front, float32.
        precision: Precision of the graph.

    Returns:
        Outputs with a batch axis in front, float32.

    Raises:
        onnx.checker.ValidationError: If types in the graph do not match.
    """
    name = onnx.load(path, load_external_data=False).graph.input[0].name
    if precision == "bfloat16":
        onnx.checker.check_model(path, full_check=True)
        outputs = cast(list[Array], ReferenceEvaluator(path).run(None, {name: inputs}))
        return outputs[0]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: inputs})[0]
