from pathlib import Path

import pytest
import torch
from torch import nn

from aframe.errors import ConfigurationError
from aframe.train import architectures
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.architectures.batch_norm import synchronise
from aframe.train.architectures.cost import cost
from aframe.train.architectures.network import count_parameters, norm_layer


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def factorised(ifos: int = 2, kernel_size: int = 384, **options) -> FactorisedNetwork:
    return FactorisedNetwork(ifos, kernel_size, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4, **options)


def additive(ifos: int = 2, kernel_size: int = 384) -> FactorisedNetwork:
    return factorised(ifos, kernel_size, fusion="additive")


def contextual(ifos: int = 2, kernel_size: int = 384) -> FactorisedNetwork:
    return factorised(ifos, kernel_size, context=(1, 3))


def with_inspiral(ifos: int = 2, kernel_size: int = 384) -> FactorisedNetwork:
    return factorised(ifos, kernel_size, inspiral=(1, 2))


def per_detector(ifos: int = 2, kernel_size: int = 384) -> FactorisedNetwork:
    return factorised(ifos, kernel_size, inspiral=(1, 2), context=(1,), shared_encoder=False)


BUILDERS = [factorised, additive, contextual, with_inspiral, per_detector]


def joint(ifos: int = 2, kernel_size: int = 256) -> JointResNet:
    return JointResNet(ifos, kernel_size, layers=(1,), batch_size=5)


def settled(network: Network, seed: int = 0) -> Network:
    """The network with parameters and running statistics that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(1 + 0.2 * noise.abs() if "running_var" in name else tensor + 0.1 * noise)
    return network.eval().requires_grad_(False)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("kernel_size", [384, 391, 240])
@pytest.mark.parametrize("start", [1, 2, 7, 31])
def test_encoding_a_stream_is_encoding_each_window(build, kernel_size, start):
    network = settled(build(kernel_size=kernel_size))
    stream = noise(1, 2, 1500)
    whole = network.encode(stream)
    begin = start * network.step_size
    window = network.encode(stream[..., begin : begin + kernel_size])
    assert window.shape[-1] == network.window_steps
    cut = whole[..., start : start + network.window_steps]
    responses = slice(-network.head_size, None)
    torch.testing.assert_close(cut[:, :, responses, :-2], window[:, :, responses, :-2], atol=1e-5, rtol=0)
    multiplied = slice(None, -network.head_size)
    torch.testing.assert_close(cut[:, :, multiplied], window[:, :, multiplied], atol=1e-5, rtol=0)


@pytest.mark.parametrize("ifos", [2, 3])
@pytest.mark.parametrize("build", [*BUILDERS, joint])
@pytest.mark.parametrize("stride", [8, 64, 200])
def test_fusing_streams_is_scoring_each_window(build, ifos, stride):
    network = settled(build(ifos))
    streams = noise(ifos, 1100)
    scores = network.fuse(network.encode(streams[None]).unbind(1), network.hop(stride))
    windows = streams.unfold(-1, network.kernel_size, stride).transpose(0, 1)
    assert scores.shape == (1, len(windows))
    assert scores.std() > 1e-4
    torch.testing.assert_close(scores[0], network(windows), atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [*BUILDERS, joint])
def test_a_step_depends_on_the_samples_of_its_receptive_field_alone(build):
    network = settled(build()).double()
    stream, step = noise(1, 2, 512).double(), 5
    changed = torch.cat([stream + 30 * torch.eye(512)[:, None], stream - 30 * torch.eye(512)[:, None]])
    moved = (network.encode(changed) != network.encode(stream))[..., step].any((1, 2)).unflatten(0, (2, 512)).any(0)
    touched = moved.nonzero()[:, 0]
    assert int(touched[0]) == step * network.step_size
    assert int(touched[-1]) == step * network.step_size + network.receptive_field - 1


@pytest.mark.parametrize("build", [*BUILDERS, joint])
def test_detectors_differ_only_with_separate_weights(build):
    network = settled(build())
    windows = noise(3, 2, network.kernel_size)
    same = torch.allclose(network(windows), network(windows.flip(1)), atol=1e-6)
    assert same == (build not in {joint, per_detector})


def test_per_detector_weights_alike_are_shared_ones():
    shared, each = settled(with_inspiral()), factorised(inspiral=(1, 2), shared_encoder=False)
    weights = {}
    for name, tensor in shared.state_dict().items():
        root, _, rest = name.partition(".")
        copies = [f"{root}.{k}.{rest}" for k in range(2)] if root in {"encoder", "past", "single"} else [name]
        weights |= dict.fromkeys(copies, tensor)
    each.load_state_dict(weights)
    windows = noise(3, 2, 384)
    torch.testing.assert_close(each.eval()(windows), shared(windows), atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [*BUILDERS, joint])
def test_a_specification_and_weights_rebuild_a_network(build):
    network = settled(build(3))
    specification = network.specification
    again = getattr(architectures, specification["name"])(**specification["arguments"])
    again.load_state_dict(network.state_dict())
    windows = noise(2, 3, network.kernel_size)
    torch.testing.assert_close(again.eval()(windows), network(windows), atol=0, rtol=0)


def test_a_single_window_and_a_batch_score_alike():
    network = settled(joint())
    windows = noise(7, 2, network.kernel_size)
    one_by_one = torch.cat([network(window[None]) for window in windows])
    torch.testing.assert_close(network(windows), one_by_one, atol=1e-5, rtol=0)


def test_the_default_joint_network_is_the_published_one():
    # ResNet-34 in one dimension, two detectors
    assert count_parameters(JointResNet(2, 3072)) == pytest.approx(7.2e6, rel=0.01)


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_a_norm_that_looks_along_time_is_refused_where_streams_are_encoded(norm):
    with pytest.raises(ConfigurationError, match="needs batch"):
        FactorisedNetwork(2, 3072, norm=norm)


def test_norms_by_name():
    x = noise(4, 32, 100) * 3 + 100
    for name in ("batch", "group", "instance"):
        y = norm_layer(name, 32)(x).detach()
        assert abs(float(y.mean())) < 1e-3
        assert float(y.std()) == pytest.approx(1, abs=0.01)
    assert norm_layer("group", 64).num_groups == 4
    with pytest.raises(ConfigurationError, match="none of batch, group, instance"):
        norm_layer("layer", 32)


def test_group_norm_keeps_its_precision_far_from_zero():
    # a variance taken as E[x²] − E[x]² cancels here
    x = 1000 + noise(1, 16, 1000)
    y = norm_layer("group", 16)(x).detach()
    torch.testing.assert_close(y.double(), (x.double() - x.double().mean()) / x.double().std(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_window_too_short_for_the_network_is_refused_with_the_size_it_needs(build):
    network = build()
    shortest = network.encoder_field + network.head_loss * network.step_size
    assert torch.isfinite(settled(build(kernel_size=shortest))(noise(1, 2, shortest))).all()
    with pytest.raises(ConfigurationError, match=f"too short for this network: it needs {shortest} at least"):
        build(kernel_size=shortest - 1)


def test_context_widens_the_receptive_field_by_its_dilations():
    assert contextual().receptive_field == factorised().receptive_field + 2 * (1 + 3) * factorised().step_size
    assert contextual().window_steps == factorised().window_steps - 2 * (1 + 3)


def test_a_network_of_before_there_were_options_still_loads():
    """What ``model.pt`` held then: arguments without the newer ones, and weights of these names."""
    network = settled(factorised())
    arguments = {k: v for k, v in network.specification["arguments"].items() if k not in {"context", "fusion"}}
    roots = {name.split(".")[0] for name in network.state_dict()}
    assert roots == {"encoder", "single", "product", "head", "classifier"}
    old = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("encoder.5")}
    assert {name: tuple(tensor.shape) for name, tensor in old.items()} == {
        "encoder.5.weight": (4, 6, 1), "encoder.5.bias": (4,)
    }  # fmt: skip
    again = FactorisedNetwork(**arguments)
    again.load_state_dict(network.state_dict())
    windows = noise(2, 2, network.kernel_size)
    torch.testing.assert_close(again.eval()(windows), network(windows), atol=0, rtol=0)


@pytest.mark.parametrize(("option", "match"), [
    ({"fusion": "magic"}, "'magic' is none of conv, additive"),
    ({"context": (0,)}, "dilations must be 1 or more"),
])  # fmt: skip
def test_unknown_options_are_refused(option, match):
    with pytest.raises(ConfigurationError, match=match):
        factorised(**option)


def test_costs_of_encoder_and_head_are_counted_separately():
    network = additive(3)
    counted = cost(network, 8)
    assert counted.encoder_parameters + counted.head_parameters == count_parameters(network)
    assert counted.head_parameters == 2 * 4 + 4 * 4 + 2 * 4 + (8 * 4 + 4) + (4 + 1)
    steps, classifier = network.window_steps - 2, 8 * 4 + 4
    assert counted.head_flops == 2 * (4 * 4 * steps + classifier)
    assert counted.slide_flops == pytest.approx(2 * (4 * 4 + classifier), rel=0.2)
    whole = cost(joint(), 8)
    assert whole.encoder_parameters == whole.encoder_flops == 0
    assert whole.head_flops == whole.slide_flops > 0


@pytest.mark.parametrize("build", [*BUILDERS, joint])
def test_synchronised_batch_norm_scores_and_saves_as_batch_norm_does(build):
    network = settled(build())
    synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(build())
    synchronised.load_state_dict(network.state_dict())
    windows = noise(2, 2, network.kernel_size)
    torch.testing.assert_close(synchronised.eval()(windows), network(windows), atol=1e-6, rtol=0)


def test_depth_width_kernel_and_norm_of_the_joint_network_are_options():
    deep, wide = JointResNet(2, 256, layers=(1, 1, 1)), JointResNet(2, 256, layers=(1, 1), width=128)
    assert [deep.classifier.in_features, wide.classifier.in_features] == [256, 256]
    assert JointResNet(2, 256, kernel=5, norm="instance")(noise(3, 2, 256)).shape == (3,)
    with pytest.raises(ConfigurationError, match="kernel = 4 of the joint network must be odd"):
        JointResNet(2, 256, kernel=4)


def test_unequal_stages_are_refused():
    with pytest.raises(ConfigurationError, match="equally long"):
        FactorisedNetwork(2, 3072, widths=(4, 6), blocks=(1,), kernels=(3, 3))


def test_a_stride_that_falls_between_steps_is_refused():
    network = factorised()
    assert network.hop(3 * network.step_size) == 3
    with pytest.raises(ConfigurationError, match=f"one step every {network.step_size} samples"):
        network.hop(network.step_size + 1)


def normalising() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3))


def loud_batch() -> torch.Tensor:
    return 3 * noise(7, 2, 20) + 50


def train_a_part(rank: int, directory: str) -> None:
    """One of two processes: it has three of the batch's seven windows, or the other four."""
    torch.set_num_threads(1)  # a forked process has no others
    torch.distributed.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=2)
    network = normalising()
    synchronise(network)
    rows = slice(0, 3) if rank == 0 else slice(3, 7)
    parallel = nn.parallel.DistributedDataParallel(network)
    scores = parallel(loud_batch()[rows])
    (2 * scores.pow(3).sum()).backward()  # the mean over processes is the whole batch's sum
    gradients = [parameter.grad for parameter in network.parameters()]
    torch.save([scores.detach(), gradients, network.state_dict()], f"{directory}/{rank}")
    torch.distributed.destroy_process_group()


def test_batch_norm_over_two_processes_is_that_of_their_batches_together(tmp_path: Path):
    torch.multiprocessing.start_processes(train_a_part, (str(tmp_path),), nprocs=2, start_method="fork")
    parts = [torch.load(tmp_path / str(rank)) for rank in range(2)]
    network = normalising()
    scores = network(loud_batch())
    scores.pow(3).sum().backward()
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), scores.detach(), atol=1e-4, rtol=0)
    for gradient, parameter in zip(parts[0][1], network.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-3, rtol=1e-3)
    for part in parts:
        torch.testing.assert_close(part[2], dict(network.state_dict()), atol=1e-4, rtol=1e-5)
