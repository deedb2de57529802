import functools

import pytest

from aframe.export.check import TOLERANCES, check
from aframe.export.graphs import served_graphs
from aframe.export.torchscript import export_torchscript, run_torchscript


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        *((kind, "float32") for kind in ("factorised", "matched_filter", "joint")),
        *((kind, "float16") for kind in ("factorised", "matched_filter")),
        ("joint", "bfloat16"),
    ],
)
def test_torchscript_computes_the_same_as_torch_for_any_batch(make_model, tmp_path, kind, precision):
    path, references = str(tmp_path / "model.pt"), served_graphs(make_model(kind), 5, 20, "float32")
    for ending, graph in served_graphs(make_model(kind), 5, 20, precision).items():
        export_torchscript(graph, path)
        run = functools.partial(run_torchscript, path)
        assert check(run, references[ending], precision, path) < TOLERANCES[precision]
        for batch_size in (1, 4):
            assert run(graph.sample(batch_size).numpy()).shape == (batch_size, *graph.output_shape)
