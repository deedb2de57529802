"""Manifests as a cluster reads them: by the schemas of Kubernetes itself."""

import json
from pathlib import Path

import pytest
import yaml
from kubernetes_validate import validate
from terminal import environment_of, write_run

from aframe import cli
from aframe.kubernetes import manifests
from aframe.settings.jobs import Kubernetes

VERSIONS = ("1.31", "1.34")
VARIABLES = {"LAW_CONFIG_FILE": "/etc/aframe/sandbox.cfg"}
COMMAND = ["python", "-m", "aframe.cli"]

SETTINGS = (
    Kubernetes(training_image="example.org/aframe:1"),
    Kubernetes(training_image="example.org/aframe:1", training_gpus=0, restarts=0),
    Kubernetes(
        training_image="example.org/aframe:1",
        training_gpus=4,
        min_gpu_memory=40000,
        node_labels=("zone=west", "gpu=a100"),
        priority_class="low",
        pull_secret="registry",
        training_time=86400.0,
    ),
)


def manifests_of(settings: Kubernetes) -> list[manifests.Manifest]:
    job = manifests.job("aframe-train-1", settings, "ligo", COMMAND, VARIABLES)
    uid = {"metadata": job["metadata"] | {"uid": "0f5a"}}
    belongings = (
        manifests.secret("aframe-train-1", "ligo", {"AWS_ACCESS_KEY_ID": "an id"}),
        manifests.config_map("aframe-train-1", "ligo", {"sandbox.cfg": "[a]\n", "train.yaml": "b: 1\n"}),
    )
    return [job, *(manifests.owned(manifest, job | uid) for manifest in belongings)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_schemas_of_kubernetes_know_every_field(settings: Kubernetes, version: str) -> None:
    for manifest in manifests_of(settings):
        validate(json.loads(json.dumps(manifest)), version, strict=True)


def test_amounts_are_for_each_gpu_and_manifests_without_gpus_name_none() -> None:
    pod = manifests_of(SETTINGS[2])[0]["spec"]["template"]["spec"]
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits["cpu"], limits["memory"] == ("32", "131072Mi")
    assert limits["nvidia.com/gpu"] == "4"
    assert all(isinstance(amount, str) for amount in limits.values())
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["39999"]}]}]
    assert pod["nodeSelector"] == {"zone": "west", "gpu": "a100"}
    alone = manifests_of(SETTINGS[1])[0]["spec"]["template"]["spec"]
    assert "gpu" not in json.dumps(alone)
    assert alone["containers"][0]["resources"]["requests"]["cpu"] == "8"


def test_evictions_do_not_count_and_failures_do() -> None:
    specification = manifests_of(SETTINGS[0])[0]["spec"]
    assert specification["backoffLimit"] == 2
    rule = specification["podFailurePolicy"]["rules"][0]
    assert (rule["action"], rule["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert specification["template"]["spec"]["restartPolicy"] == "Never"


def test_shared_memory_is_a_part_of_the_memory() -> None:
    assert "shared_memory = 40000 MiB" in Kubernetes(shared_memory=40000).conflicts()[0].text
    texts = [
        mistake.text for mistake in Kubernetes(node_labels=("zone",), training_gpus=0, min_gpu_memory=1).conflicts()
    ]
    assert any("'zone': give KEY=VALUE" in text for text in texts)
    assert any("needs training_gpus > 0" in text for text in texts)


def test_a_dry_run_prints_what_a_cluster_would_get_but_no_secret(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.setenv("WANDB_API_KEY", "another secret")
    for name, value in environment_of(directory).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    cli.main(["train", "submit", str(directory), "--dry-run"])
    text = capsys.readouterr().out
    assert "secret key" not in text
    assert "another secret" not in text
    shown = list(yaml.safe_load_all(text))
    assert [manifest["kind"] for manifest in shown] == ["Job", "Secret", "ConfigMap"]
    assert {"AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "AFRAME_TRAIN_RUN_DIR"} <= set(shown[1]["stringData"])
    assert set(shown[1]["stringData"].values()) == {"***"}
    for manifest in shown:
        validate(manifest, VERSIONS[0], strict=True)


def test_a_dry_run_without_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = write_run(tmp_path / "run")
    with pytest.raises(SystemExit):
        cli.main(["train", "submit", str(directory), "--dry-run"])
    assert "has no training_image" in capsys.readouterr().err


def test_another_directory_or_other_parameters_are_another_job() -> None:
    names = {
        manifests.name_of(directory, parameters)
        for directory in ("s3://a/run", "s3://b/run")
        for parameters in ({"train.x": 1}, {"train.x": 2})
    }
    assert len(names) == 4
    assert all(len(name) < 64 and name == name.lower() for name in names)
