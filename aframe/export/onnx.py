"""ONNX: a network as a graph that runs without python, and proof that it computes the same."""

import logging
import warnings

import numpy as np
import onnxruntime
import torch

from aframe.errors import AframeError
from aframe.train.model import Model

INPUT_NAME, OUTPUT_NAME = "whitened", "score"
TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch, relative to the scores' spread."""


def export_onnx(model: Model, path: str) -> None:
    """Export whitened windows (batch, ifos, kernel_size) to scores (batch, 1), and check the result.

    Args:
        model: What to export.
        path: Local path of the ONNX file.

    Raises:
        AframeError: If ONNX Runtime does not reproduce torch's scores.
    """
    network = _Served(model).eval()
    example = torch.randn(4, len(model.preprocessing.ifos), model.preprocessing.kernel_size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes={"windows": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=False)
    check_onnx(model, path)


class _Served(torch.nn.Module):
    """Scores as a column, which is how Triton wants outputs of a batch."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network.float()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.network(windows).unsqueeze(-1)


def check_onnx(model: Model, path: str, batch_size: int = 7) -> float:
    """Largest difference between ONNX Runtime's and torch's scores of random whitened windows, relative to their size.

    Args:
        model: The network that was exported.
        path: Local path of the ONNX file.
        batch_size: Windows to compare on; another size than the export's own, to prove that it is free.

    Raises:
        AframeError: If the difference exceeds ``TOLERANCE``.
    """
    shape = (batch_size, len(model.preprocessing.ifos), model.preprocessing.kernel_size)
    windows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run([OUTPUT_NAME], {INPUT_NAME: windows.numpy()})
    with torch.inference_mode():
        expected = model.network(windows).numpy()
    difference = float(np.abs(scores[:, 0] - expected).max() / max(1.0, np.abs(expected).max()))
    if not difference <= TOLERANCE:
        raise AframeError(
            f"{path} differs from the torch model by {difference:.2g} (relative), more than {TOLERANCE}: "
            "do not serve it; export it again with the versions in constraints.txt"
        )
    return difference
