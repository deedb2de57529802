import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from aframe import storage
from aframe.errors import AframeError, ConfigurationError, StorageError
from aframe.export.configuration import ServingOptions, read_configuration, served_version
from aframe.export.graphs import BLOCKS, served_graphs
from aframe.export.repository import check_repository, find_model, publish
from aframe.export.torchscript import run_torchscript

OPTIONS = ServingOptions(name="bbh", block_windows=5, max_batch_size=20)


def test_a_second_version_leaves_the_first_and_takes_over_in_one_step(make_model, tmp_path):
    model, repository, options = make_model("joint"), tmp_path / "repository", replace(OPTIONS, platform="torch")
    first = publish(model, "abc", str(repository), options, {"search.seed": 1})
    assert first == {name: f"{repository}/{name}/1" for name in ("bbh", "bbh-windows")}
    content = {path: path.read_bytes() for path in repository.rglob("*/1/*")}
    configuration = repository / "bbh" / "config.pbtxt"
    seen: set[str] = set()
    over = threading.Event()

    def watch():
        while not over.is_set():
            path, read = find_model(str(repository), "bbh")  # whole, whenever one looks
            seen.add(f"{served_version(read)} {read.parameters['model_sha256'].string_value} {Path(path).parent.name}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    second = publish(model, "abd", str(repository), options, {"search.seed": 2})
    over.set()
    watcher.join()
    assert seen <= {"1 abc 1", "2 abd 2"}
    assert "1 abc 1" in seen
    assert second["bbh"] == f"{repository}/bbh/2"
    assert {path: path.read_bytes() for path in repository.rglob("*/1/*")} == content
    assert json.loads(Path(second["bbh"], "made_with.json").read_text()) == {"search.seed": 2}
    assert storage.made_with(str(configuration)) == {"search.seed": 2}
    assert served_version(read_configuration(str(configuration))) == "2"
    assert sorted(path.name for path in (repository / "bbh").glob("[!.]*")) == ["1", "2", "config.pbtxt"]
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    graph = served_graphs(model, 5, 20, "float32")[BLOCKS]
    path, _ = find_model(str(repository), "bbh")
    inputs = graph.sample(2)
    assert abs(run_torchscript(path, inputs.numpy()) - graph.module(inputs).numpy()).max() < 1e-4


def test_a_failed_export_leaves_the_repository_unchanged(make_model, tmp_path):
    model = make_model("joint")
    next(p for p in model.network.parameters() if p.ndim == 1).fill_(float("nan"))
    with pytest.raises(AframeError, match="differs from the torch model by nan"):
        publish(model, "abc", str(tmp_path / "repository"), OPTIONS, {})
    with pytest.raises(ConfigurationError, match="needs the package tensorrt"):
        publish(make_model("joint"), "abc", str(tmp_path / "repository"), replace(OPTIONS, platform="tensorrt"), {})
    assert not list(tmp_path.rglob("*"))


def test_a_factorised_network_is_served_in_parts_too(make_model, tmp_path):
    options = replace(OPTIONS, platform="torch")
    versions = publish(make_model("factorised"), "abc", str(tmp_path), options, {})
    assert list(versions) == ["bbh", "bbh-windows", "bbh-encoder", "bbh-fusion"]
    for name in versions:
        path, configuration = find_model(str(tmp_path), name)
        assert path == f"{tmp_path}/{name}/1/model.pt"
        assert configuration.parameters["model_sha256"].string_value == "abc"


def test_missing_files_of_a_repository_are_an_error(make_model, tmp_path):
    with pytest.raises(StorageError, match=r"bbh/config\.pbtxt does not exist"):
        find_model(str(tmp_path), "bbh")
    publish(make_model("joint"), "abc", str(tmp_path), replace(OPTIONS, platform="torch"), {})
    shutil.rmtree(tmp_path / "bbh" / "1")
    with pytest.raises(StorageError, match=r"bbh/1/model\.pt is missing: export the model again"):
        find_model(str(tmp_path), "bbh")
    (tmp_path / "bbh" / "config.pbtxt").write_text('name: "bbh"')
    with pytest.raises(StorageError, match="names no version to serve"):
        find_model(str(tmp_path), "bbh")


def test_a_damaged_file_of_a_repository_is_noticed(make_model, tmp_path):
    versions = publish(make_model("joint"), "abc", str(tmp_path), replace(OPTIONS, platform="torch"), {})
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "config.pbtxt").write_text("of another program")
    check_repository(str(tmp_path))
    path = Path(versions["bbh-windows"], "model.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"bbh-windows/1/model\.pt is damaged .* delete the repository, and export"):
        check_repository(str(tmp_path))
