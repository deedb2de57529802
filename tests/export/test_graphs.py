from dataclasses import replace

import pytest
import torch

from aframe.errors import ConfigurationError
from aframe.export.graphs import BLOCKS, ENCODER, FUSION, WINDOWS, Block, ScoreBlocks, served_graphs
from aframe.train.model import Model


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", ["factorised", "per_detector", "matched_filter", "joint"])
@pytest.mark.parametrize("ifos", [("H1", "L1"), ("H1", "L1", "V1")])
def test_all_graphs_score_the_windows_that_the_network_does(make_model, kind, ifos):
    model = make_model(kind, ifos)
    graphs = served_graphs(model, 5, 20, "float32")
    size, stride = 256 + 4 * 64, 64
    blocks = noise(3, len(ifos), size)
    windows = torch.stack([blocks[:, :, k * stride : k * stride + 256] for k in range(5)], dim=1)
    expected = model.network(windows.flatten(0, 1)).reshape(3, 5)
    assert expected.std() > 0.1
    assert graphs[BLOCKS].input_shape == (len(ifos), size)
    torch.testing.assert_close(graphs[BLOCKS].module(blocks), expected, atol=1e-5, rtol=0)
    single = graphs[WINDOWS].module(windows.flatten(0, 1))
    torch.testing.assert_close(single, expected.reshape(15, 1), atol=1e-5, rtol=0)
    assert set(graphs) == ({BLOCKS, WINDOWS} if kind == "joint" else {BLOCKS, WINDOWS, ENCODER, FUSION})
    if kind != "joint":
        embedded = graphs[ENCODER].module(blocks)
        assert embedded.shape[1:] == graphs[ENCODER].output_shape
        fused = graphs[FUSION].module(embedded[..., : graphs[FUSION].input_shape[-1]])
        torch.testing.assert_close(fused, expected, atol=1e-5, rtol=0)
    for graph in graphs.values():
        assert graph.module(graph.sample(2)).shape == (2, *graph.output_shape)


def test_batches_of_a_server_hold_as_many_windows_whatever_they_are_sent_as(make_model):
    graphs = served_graphs(make_model("factorised"), 5, 20, "float32")
    assert {ending: graph.max_batch_size for ending, graph in graphs.items()} == {
        BLOCKS: 4,
        WINDOWS: 20,
        ENCODER: 4,
        FUSION: 4,
    }
    assert served_graphs(make_model("joint"), 32, 20, "float32")[BLOCKS].max_batch_size == 1


@pytest.mark.parametrize(("length", "rate"), [(1.0, 4.0), (1.0, 2.0), (0.75, 4.0), (0.703125, 16.0), (1.0, 128.0)])
def test_windows_are_cut_wherever_they_begin(make_model, length, rate):
    model = make_model("joint")
    preprocessing = replace(model.preprocessing, kernel_length=length, inference_sampling_rate=rate)
    graph = ScoreBlocks(Block(model.network, preprocessing, 7), torch.float32)
    blocks = noise(2, 2, 6 * preprocessing.stride_size + preprocessing.kernel_size)
    cut = blocks.unfold(-1, preprocessing.kernel_size, preprocessing.stride_size).transpose(1, 2)
    assert (graph.cut(blocks) == cut).all()


def test_a_block_is_encoded_as_far_as_it_depends_on_itself_alone(make_model):
    model = make_model("factorised")
    block = Block(model.network, model.preprocessing, 5)
    stream = noise(1, 2, block.size + 999)
    whole, piece = model.network.encode(stream), model.network.encode(stream[..., : block.size])
    steps = block.encoded_steps
    torch.testing.assert_close(piece[..., :steps], whole[..., :steps], atol=1e-5, rtol=0)
    assert (piece[..., steps] - whole[..., steps]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["factorised", "joint"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 1e-2), ("bfloat16", 1e-1)])
def test_low_precision_computes_between_single_precision(make_model, kind, precision, tolerance):
    model = make_model(kind)
    inputs = noise(4, 2, 256)
    scores = served_graphs(model, 5, 20, precision)[WINDOWS].module(inputs)
    assert scores.dtype == torch.float32
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    difference = (scores[:, 0] - model.network(inputs)).abs().max()
    assert 0 < difference < tolerance


def test_impossible_graphs_are_refused(make_model):
    model = make_model("factorised")
    with pytest.raises(ConfigurationError, match="'int8' is none of float32, float16, bfloat16"):
        served_graphs(model, 5, 20, "int8")
    with pytest.raises(ConfigurationError, match="block_windows = 0"):
        served_graphs(model, 0, 20, "float32")
    fine = Model(model.network, replace(model.preprocessing, inference_sampling_rate=128.0))
    with pytest.raises(ConfigurationError, match="one step every"):
        served_graphs(fine, 5, 20, "float32")
