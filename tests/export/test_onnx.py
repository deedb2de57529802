import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
import served

from aframe.export.check import TOLERANCES, check
from aframe.export.graphs import BLOCKS, ENCODER, FUSION, WINDOWS, served_graphs
from aframe.export.onnx import export_onnx, run_onnx

CASES = [
    *(("factorised", "float32", ending) for ending in (BLOCKS, WINDOWS, ENCODER, FUSION)),
    *(("matched_filter", "float32", ending) for ending in (ENCODER, FUSION)),
    *(("per_detector", "float32", ending) for ending in (ENCODER, FUSION)),
    *(("joint", "float32", ending) for ending in (BLOCKS, WINDOWS)),
    *(("factorised", precision, BLOCKS) for precision in ("float16", "bfloat16")),
    *(pytest.param("matched_filter", "float32", ending, marks=pytest.mark.thorough) for ending in (BLOCKS, WINDOWS)),
    *(
        pytest.param(kind, precision, BLOCKS, marks=pytest.mark.thorough)
        for kind in ("matched_filter", "joint")
        for precision in ("float16", "bfloat16")
    ),
]


PUBLISHED = ("factorised", "joint")
"""Kinds of the repository that all tests share: its graphs are exported already."""


@pytest.mark.parametrize(("kind", "precision", "ending"), CASES)
def test_onnx_computes_the_same_as_torch(small_repository, tmp_path, kind, precision, ending):
    is_published = kind in PUBLISHED and precision == "float32"
    sizes = (served.BLOCK, served.OPTIONS["max_batch_size"]) if is_published else (5, 20)
    graph, reference = (served_graphs(served.small_model(kind), *sizes, p)[ending] for p in (precision, "float32"))
    path = str((small_repository / f"{kind}{ending}" / "1" if is_published else tmp_path) / "model.onnx")
    if not is_published:
        export_onnx(graph, path, precision)
    run = functools.partial(run_onnx, path, precision=precision)
    assert check(run, reference, precision, path) < TOLERANCES[precision]
    for batch_size in (1, 4):
        inputs = reference.sample(batch_size)
        outputs = run(inputs.numpy())
        assert outputs.dtype == np.float32
        scale = reference.module(inputs).abs().max()
        assert np.abs(outputs - reference.module(inputs).numpy()).max() < TOLERANCES[precision] * max(1, scale)
    loaded = onnx.load(path)
    assert [loaded.graph.input[0].name, loaded.graph.output[0].name] == [graph.input, graph.output]
    kinds = {item.data_type for item in loaded.graph.initializer}
    expected = {"float32": 1, "float16": 10, "bfloat16": 16}[precision]
    assert expected in kinds
    single = {1} if kind == "matched_filter" else set()  # its filters compute in single precision
    assert not ({1, 10, 16} - {expected} - single) & kinds
    assert {p.name for p in Path(path).parent.iterdir()} - {"made_with.json"} == {"model.onnx"}  # weights and all
