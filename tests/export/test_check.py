import pytest
import torch

from aframe.errors import AframeError
from aframe.export.check import check
from aframe.export.graphs import BLOCKS, WINDOWS, served_graphs


def of(graph):
    """Function that runs a graph, in place of an exported one."""
    return lambda inputs: graph.module(torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize("kind", ["factorised", "joint"])
@pytest.mark.parametrize("ending", [BLOCKS, WINDOWS])
def test_other_weights_are_refused(make_model, kind, ending):
    model = make_model(kind)
    reference = served_graphs(model, 5, 20, "float32")[ending]
    assert check(of(reference), reference, "float32", "model.onnx") == 0
    for parameter in model.network.parameters():
        parameter.mul_(1.05)
    other = served_graphs(model, 5, 20, "float32")[ending]
    with pytest.raises(AframeError, match=r"model\.onnx differs from the torch model by .* in float32: do not"):
        check(of(other), reference, "float32", "model.onnx")


def test_outputs_that_are_no_numbers_are_refused(make_model):
    reference = served_graphs(make_model("factorised"), 5, 20, "float32")[BLOCKS]
    with pytest.raises(AframeError, match="differs from the torch model by nan"):
        check(lambda inputs: of(reference)(inputs) * float("nan"), reference, "float32", "model.onnx")
    with pytest.raises(AframeError, match=r"gives shape \(3, 4\), not \(3, 5\)"):
        check(lambda inputs: of(reference)(inputs)[:, :4], reference, "float32", "model.onnx")
