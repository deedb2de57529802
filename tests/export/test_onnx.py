import numpy as np
import onnxruntime
import pytest
import torch

from aframe.errors import AframeError
from aframe.export.onnx import INPUT_NAME, OUTPUT_NAME, check_onnx, export_onnx


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_onnx_scores_are_torchs(make_model, tmp_path, kind):
    model, path = make_model(kind), str(tmp_path / "model.onnx")
    export_onnx(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 33):
        windows = 3 * torch.randn((batch, 2, 256), generator=torch.Generator().manual_seed(batch))
        (scores,) = session.run([OUTPUT_NAME], {INPUT_NAME: windows.numpy()})
        assert scores.shape == (batch, 1)
        np.testing.assert_allclose(scores[:, 0], model.network(windows).numpy(), atol=1e-4, rtol=1e-4)
    assert check_onnx(model, path, batch_size=5) < 1e-4
    assert not list(tmp_path.glob("*.data"))


def test_onnx_of_other_weights_is_refused(make_model, tmp_path):
    path = str(tmp_path / "model.onnx")
    export_onnx(make_model("factorised"), path)
    other = make_model("factorised")
    for parameter in other.network.parameters():
        parameter.mul_(1.05)
    with pytest.raises(AframeError, match="differs from the torch model"):
        check_onnx(other, path)


def test_onnx_that_is_not_a_number_is_refused(make_model, tmp_path):
    model = make_model("factorised")
    next(p for p in model.network.parameters() if p.ndim == 1).fill_(float("nan"))
    with pytest.raises(AframeError, match="differs from the torch model"):
        export_onnx(model, str(tmp_path / "model.onnx"))
