import os
from dataclasses import replace

import pytest

from aframe.errors import ConfigurationError, ServerError
from aframe.serving.launch import IMAGE, Endpoint, Launch

LAUNCH = Launch("repository", image="image:1", gpus="0,1", engine_cache="/cache", endpoint=Endpoint(grpc_port=9001))


def executable(directory, *names):
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)


def test_the_first_of_the_programs_on_path_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="tritonserver, apptainer, docker, podman not on PATH"):
        LAUNCH.find_launcher()
    for name in ("podman", "docker", "apptainer", "tritonserver"):
        executable(tmp_path, name)
        assert LAUNCH.find_launcher() == name
    assert replace(LAUNCH, launcher="docker").find_launcher() == "docker"
    (tmp_path / "docker").unlink()
    with pytest.raises(ServerError, match="docker not on PATH"):
        replace(LAUNCH, launcher="docker").find_launcher()
    with pytest.raises(ConfigurationError, match="'singularity' is none of auto, tritonserver"):
        replace(LAUNCH, launcher="singularity").find_launcher()


def test_a_container_engine_without_its_daemon_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(ServerError, match="apptainer, podman not on PATH; docker fails: Cannot connect to the Docker"):
        LAUNCH.find_launcher()
    executable(tmp_path, "podman")
    assert LAUNCH.find_launcher() == "podman"
    with pytest.raises(ServerError, match="started: docker fails: Cannot connect"):
        replace(LAUNCH, launcher="docker").find_launcher()


def test_a_server_on_path_serves_the_directory_on_loopback():
    command = LAUNCH.command("tritonserver")
    assert command[:2] == ["tritonserver", "--model-repository=repository"]
    for option in ("--grpc-address=127.0.0.1", "--grpc-port=9001", "--http-port=8000", "--model-control-mode=poll"):
        assert option in command
    everywhere = replace(LAUNCH, endpoint=Endpoint("gpu1"))
    assert "--grpc-address=0.0.0.0" in everywhere.command("tritonserver")
    assert everywhere.endpoint.address == "gpu1:8001"


def test_containers_see_the_repository_the_engines_and_the_gpus():
    repository = f"{os.getcwd()}/repository"
    options = LAUNCH.command("tritonserver")[2:]
    server = ["tritonserver", "--model-repository=/models", *options]
    assert LAUNCH.command("apptainer") == [
        *("apptainer", "exec", "--bind", "/cache:/cache", "--bind", f"{repository}:/models:ro"),
        *("--nv", "--env", "CUDA_VISIBLE_DEVICES=0,1", "docker://image:1", *server),
    ]
    name = f"aframe-triton-{os.getpid()}"
    run = ["run", "--rm", "--init", "--name", name, "--network", "host"]
    volumes = ["--volume", "/cache:/cache", "--volume", f"{repository}:/models:ro"]
    user = f"{os.getuid()}:{os.getgid()}"
    assert LAUNCH.command("docker") == [
        *("docker", *run, *volumes, "--gpus", '"device=0,1"', "--user", user, "image:1", *server)
    ]
    devices = ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"]
    assert LAUNCH.command("podman") == ["podman", *run, *volumes, *devices, "image:1", *server]
    assert LAUNCH.kill_command("docker") == ["docker", "kill", name]
    assert LAUNCH.kill_command("apptainer") == []


def test_without_gpus_containers_are_given_none():
    launch = replace(LAUNCH, gpus="", image=IMAGE)
    for launcher in ("apptainer", "docker", "podman"):
        assert not {"--nv", "--gpus", "--device"} & set(launch.command(launcher))


def test_a_repository_on_s3_and_an_image_in_a_file_are_taken_as_they_are():
    launch = replace(LAUNCH, repository="s3://bucket/models", image="/images/triton.sif")
    command = launch.command("apptainer")
    assert "--model-repository=s3://bucket/models" in command
    assert "/images/triton.sif" in command
    assert not any("/models:ro" in part for part in command)


def test_a_remote_repository_is_read_by_the_server_itself(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    remote = Launch("s3://bucket/run/model_repo", image="image:1")
    assert "--model-repository=s3://bucket/run/model_repo" in remote.command("tritonserver")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.org:7480/")
    command = remote.command("podman")
    assert "--model-repository=s3://https://s3.example.org:7480/bucket/run/model_repo" in command
    assert command[command.index("AWS_ACCESS_KEY_ID") - 1] == "--env"
    assert "AWS_SESSION_TOKEN" not in command
    assert not [part for part in command if "/models" in part]
    assert "AWS_ACCESS_KEY_ID" not in LAUNCH.command("podman")
