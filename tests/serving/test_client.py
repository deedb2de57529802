import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import served
import torch

from aframe.errors import ConfigurationError, ParameterMismatchError, ServerError
from aframe.export.graphs import BLOCKS, ENCODER, FUSION, WINDOWS, served_graphs
from aframe.machine.parallel import in_slices, shared_array
from aframe.serving.client import Delivery, TritonClient
from aframe.serving.server import free_ports

QUICK = Delivery(in_flight=8, deadline=1.0, retries=2, first_wait=0.05)
PATIENT = Delivery(in_flight=8, deadline=5.0, retries=60, first_wait=0.2, last_wait=0.5)

ENDINGS = {"factorised": (BLOCKS, WINDOWS, ENCODER, FUSION), "joint": (BLOCKS, WINDOWS)}


def graphs(kind, seed=2):
    return served_graphs(served.small_model(kind, seed=seed), served.BLOCK, 4 * served.BLOCK, "float32")


def blocks(kind, count):
    """Blocks of noise, and their scores."""
    graph = graphs(kind)[BLOCKS]
    inputs = torch.randn((count, 1, *graph.input_shape), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return [(kind, block.numpy(), index) for index, block in enumerate(inputs)], graph.module(inputs[:, 0]).numpy()


def check_answers(answers, expected):
    """Each request answered once, in order, by its own scores."""
    assert [tag for _, tag in answers] == list(range(len(expected)))
    np.testing.assert_allclose(np.concatenate([scores for scores, _ in answers]), expected, atol=1e-3)


@pytest.mark.triton
@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_a_served_repository_computes_the_same_as_torch(kind, small_server):
    client = TritonClient(small_server.endpoint.address, served.small_identity(kind), PATIENT)
    for ending in ENDINGS[kind]:
        graph = graphs(kind)[ending]
        for batch_size in (1, 2):
            inputs = graph.sample(batch_size)
            ((outputs, tag),) = client.infer_each([(kind + ending, inputs.numpy(), "tag")])
            assert tag == "tag"
            assert outputs.shape == (batch_size, *graph.output_shape)
            np.testing.assert_allclose(outputs, graph.module(inputs).numpy(), atol=1e-3, rtol=1e-3)
    index = client.client.get_model_repository_index()
    assert {(model.name, model.version, model.state) for model in index.models} == {
        (name + ending, "1", "READY") for name, endings in ENDINGS.items() for ending in endings
    }
    client.close()


@pytest.mark.triton
def test_no_more_requests_are_taken_than_may_be_in_flight(small_server):
    requests, expected = blocks("factorised", 50)
    client = TritonClient(small_server.endpoint.address, served.small_identity("factorised"), PATIENT)
    taken, most, answers = 0, 0, []

    def counted():
        nonlocal taken
        for request in requests:
            taken += 1
            yield request

    for answer in client.infer_each(counted()):
        most = max(most, taken - len(answers))
        answers.append(answer)
    check_answers(answers, expected)
    assert most == PATIENT.in_flight + 1  # the next request waits


@pytest.mark.triton
def test_a_model_of_other_parameters_is_refused(small_server):
    address = small_server.endpoint.address
    for identity, message in (
        (served.small_identity("joint", highpass=32.0), r"highpass = 20\.0, but this search has highpass = 32\.0"),
        (
            served.small_identity("joint", seed=3),
            "model_sha256 = hash of joint 2, but this search has model_sha256 = hash",
        ),
    ):
        client = TritonClient(address, identity, PATIENT)
        with pytest.raises(ParameterMismatchError, match=f"server at {address} serves joint with {message}.*export"):
            client.configuration("joint")
        requests, _ = blocks("joint", 1)
        with pytest.raises(ParameterMismatchError):
            list(client.infer_each(requests))


@pytest.mark.triton
def test_unknown_models_and_wrong_inputs_are_refused(small_server):
    client = TritonClient(small_server.endpoint.address, served.small_identity("joint"), QUICK)
    with pytest.raises(ServerError, match=f"{small_server.endpoint.address}.* nothing"):
        client.configuration("nothing")
    with pytest.raises(ServerError, match=r"refuses joint: StatusCode\.INVALID_ARGUMENT"):
        list(client.infer_each([("joint", np.zeros((1, 2, 7), np.float32), None)]))


def test_a_server_that_is_not_there_is_named_after_the_retries():
    address = free_ports("127.0.0.1").address
    client = TritonClient(address, {}, QUICK)
    begin = time.monotonic()
    with pytest.raises(ServerError, match=f"server at {address} did not answer for aframe in 3 attempts.*UNAVAILABLE"):
        client.configuration("aframe")
    assert time.monotonic() - begin > QUICK.first_wait * (1 + 2)


def test_a_server_that_never_answers_is_named_after_the_retries():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client = TritonClient(address, {}, Delivery(deadline=0.3, retries=1, first_wait=0.05))
        with pytest.raises(ServerError, match=f"{address} did not answer .* 2 attempts of 0.3 s .*DEADLINE_EXCEEDED"):
            client.configuration("aframe")


@pytest.mark.parametrize("address", ["gpu1", "gpu1:", ":8001", "http://gpu1:grpc"])
def test_malformed_addresses_are_refused(address):
    with pytest.raises(ConfigurationError, match="is no HOST:PORT"):
        TritonClient(address, {}, QUICK)


def test_waits_double_up_to_a_limit():
    delivery = Delivery(first_wait=0.5)
    assert [delivery.wait(attempt) for attempt in (0, 1, 2, 20)] == [0.5, 1.0, 2.0, 30.0]


@pytest.fixture
def repository(small_repository: Path, tmp_path: Path) -> Path:
    """A repository of the joint network, to be changed."""
    for name in ("joint", "joint-windows"):
        shutil.copytree(small_repository / name, tmp_path / "repository" / name)
    return tmp_path / "repository"


@pytest.mark.triton
def test_nothing_is_lost_or_counted_twice_when_the_server_is_killed_and_started_again(
    repository, tritonserver, tmp_path
):
    requests, expected = blocks("joint", 120)
    endpoint, answers = free_ports("127.0.0.1"), []
    client = TritonClient(endpoint.address, served.small_identity("joint"), PATIENT)
    first = served.serving(repository, tritonserver, tmp_path / "first.log", endpoint)
    running = first.__enter__()
    again = []

    def start_again():
        served.stop(running)
        again.append(served.start(repository, tritonserver, endpoint, tmp_path / "second.log"))

    def killed():
        for request in requests:
            if request[-1] == 40:
                os.kill(running.server, signal.SIGKILL)
                threading.Timer(1.0, start_again).start()
            yield request

    try:
        answers = list(client.infer_each(killed()))
    finally:
        for server in again:
            served.stop(server)
    check_answers(answers, expected)
    assert again


@pytest.mark.triton
def test_a_server_that_hangs_for_a_while_loses_nothing(small_server):
    requests, expected = blocks("joint", 60)
    delivery = Delivery(in_flight=8, deadline=0.5, retries=30, first_wait=0.1, last_wait=0.5)
    client = TritonClient(small_server.endpoint.address, served.small_identity("joint"), delivery)
    pid = small_server.server

    def hung():
        for request in requests:
            if request[-1] == 20:
                os.kill(pid, signal.SIGSTOP)
                threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)).start()
            yield request

    check_answers(list(client.infer_each(hung())), expected)


@pytest.mark.triton
def test_a_new_version_takes_over_under_load_and_another_model_does_not(
    repository, tritonserver, tmp_path, monkeypatch
):
    requests, expected = blocks("joint", 30)

    def copy(graph, path, _):
        """Write the graph of the version that is served, as an export would take the processor from the load."""
        name = "joint-windows" if graph.input_shape[-1] == 256 else "joint"
        shutil.copy(repository / name / "1" / "model.onnx", path)

    monkeypatch.setattr("aframe.export.repository.export_onnx", copy)
    with served.serving(repository, tritonserver, tmp_path / "log") as running:
        client = TritonClient(running.endpoint.address, served.small_identity("joint"), PATIENT)
        rounds, versions = 0, set()

        def load_until(condition):
            nonlocal rounds
            end = time.monotonic() + 60
            while not condition() and time.monotonic() < end:
                check_answers(list(client.infer_each(requests)), expected)
                versions.add(client.configuration("joint").version_policy.specific.versions[0])
                rounds += 1

        publishing = threading.Thread(target=served.publish_small, args=("joint", repository))
        publishing.start()
        load_until(lambda: versions >= {1, 2})
        publishing.join()
        assert versions == {1, 2}
        assert rounds > 2
        assert sorted(path.name for path in (repository / "joint").glob("[0-9]*")) == ["1", "2"]
        monkeypatch.undo()
        served.publish_small("joint", repository, seed=3)
        with pytest.raises(ParameterMismatchError, match="model_sha256 = hash of joint 3, but"):
            load_until(lambda: False)


@pytest.mark.triton
def test_processes_may_be_forked_while_requests_are_on_their_way(small_server, capfd):
    requests, expected = blocks("joint", 30)
    client = TritonClient(small_server.endpoint.address, served.small_identity("joint"), PATIENT)

    filled = shared_array((20,))

    def fill(items):
        filled[items] = 1

    def forking():
        for request in requests:
            if request[-1] % 10 == 5:
                in_slices(fill, 20, 5, 2)
                assert filled.all()
            yield request

    check_answers(list(client.infer_each(forking())), expected)
    client.close()
    assert capfd.readouterr().err == ""
