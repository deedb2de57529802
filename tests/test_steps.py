import os

import pytest
import torch

from aframe.steps import use_gpus


def test_without_a_gpu_the_cpu_computes_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert use_gpus("") == "cpu"
    assert capsys.readouterr().err == ""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert use_gpus("0,1") == "cpu"
    assert "there is no GPU 0,1 here" in capsys.readouterr().err
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
