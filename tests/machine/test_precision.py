import multiprocessing
import os
import subprocess
import sys

import pytest
import torch

from aframe.errors import ConfigurationError
from aframe.machine import precision

BASIC = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""Variables with which a processor behaves like one that has nothing above AVX2."""


@pytest.fixture
def bfloat16_takes(monkeypatch):
    """Has bfloat16 take a multiple of float32's time."""

    def pretend(factor):
        monkeypatch.setattr(precision, "slowdown", lambda kind, _: factor if kind == torch.bfloat16 else 1.0)

    return pretend


@pytest.mark.skipif(sys.platform == "darwin", reason="these variables are for x86")
def test_a_processor_without_instructions_for_bfloat16_computes_in_float32():
    code = "from aframe.machine import precision as p; print(p.choose('cpu'), p.slowdown(p.DTYPES['bfloat16'], 'cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | BASIC, capture_output=True, text=True, check=True
    )
    chosen, factor = done.stdout.split()
    assert chosen == "float32"
    assert 5 < float(factor) < 1000


@pytest.mark.parametrize(
    ("factor", "chosen"), [(0.2, "bfloat16"), (1.5, "bfloat16"), (2.5, "float32"), (float("inf"), "float32")]
)
def test_a_factor_of_two_decides(bfloat16_takes, factor, chosen):
    bfloat16_takes(factor)
    assert precision.choose("cpu") == chosen
    assert precision.resolve("auto", "cpu") == chosen
    assert precision.resolve("float16", "cpu") == "float16"
    name = {"float32": "32-true", "bfloat16": "bf16-mixed"}[chosen]
    assert precision.resolve_trainer("auto", "cpu") == precision.resolve_trainer(None, "cpu") == name
    assert precision.resolve_trainer("64-true", "cpu") == "64-true"


def spin():
    while True:
        pass


def test_the_answer_is_the_same_on_a_busy_machine():
    quiet = precision.is_emulated(torch.bfloat16, "cpu")
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(3 * (os.cpu_count() or 1))]
    for other in others:
        other.start()
    try:
        answers = {
            precision.slowdown.__wrapped__(torch.bfloat16, "cpu") > precision.EMULATION_THRESHOLD for _ in range(5)
        }
    finally:
        for other in others:
            other.kill()
            other.join()
    assert answers == {quiet}


def test_the_description_of_a_device_has_the_factor_that_emulation_costs(bfloat16_takes):
    bfloat16_takes(0.25)
    assert precision.explained("cpu") == "this processor has instructions for bfloat16"
    assert precision.described(torch.bfloat16, "cpu") == "bfloat16"
    bfloat16_takes(80.0)
    assert precision.explained("cpu") == "this processor emulates bfloat16: products take about 80 times as long"
    description = "bfloat16, which this GPU emulates: products take about 80 times as long"
    assert precision.described(torch.bfloat16, "cuda") == description
    assert precision.measurement("cpu")["bfloat16_over_float32_time"] == 80.0
    bfloat16_takes(float("inf"))
    assert precision.explained("cuda") == "this GPU cannot compute in bfloat16"
    assert precision.measurement("cpu")["bfloat16_over_float32_time"] is None


def test_a_precision_that_a_device_cannot_compute_in_is_refused(monkeypatch):
    def missing(kind, device):
        raise NotImplementedError("no kernel")

    monkeypatch.setattr(precision, "_convolution", missing)
    assert precision.slowdown.__wrapped__(torch.float16, "cpu") == float("inf")
    monkeypatch.setattr(precision, "slowdown", precision.slowdown.__wrapped__)
    with pytest.raises(ConfigurationError, match=r"^precision = float16: this processor cannot .*: set auto$"):
        precision.check_supported("precision", "float16", torch.float16, "cpu")
    precision.check_supported("precision", "float32", torch.float32, "cpu")


@pytest.mark.parametrize(
    ("name", "words"),
    [("16-mixed", "is for GPUs"), ("transformer-engine", "needs the package transformer_engine")],
)
def test_a_precision_of_lightnings_that_cannot_be_had_is_refused(name, words):
    with pytest.raises(ConfigurationError, match=f"^trainer.precision = {name} {words}.*set auto$"):
        precision.check_trainer_supported(name, "cpu")


def test_a_precision_that_can_be_had_is_not_refused():
    for name in ("32-true", "64-true", "bf16-mixed", 32):
        precision.check_trainer_supported(name, "cpu")
    assert [precision.trainer_dtype(name) for name in ("16-true", "bf16-true", "64-true", 32)] == [
        torch.float16, torch.bfloat16, torch.float64, torch.float32,
    ]  # fmt: skip
    assert precision.training_device("cpu") == "cpu"
