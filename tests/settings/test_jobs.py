from pathlib import Path

import pytest
from terminal import write_batch, write_run

from aframe.errors import ConfigurationError
from aframe.settings.jobs import BATCH_TASKS, Batch
from aframe.settings.keys import Lines
from aframe.settings.read import load_config
from aframe.settings.sections import Config


def load(directory: Path, workflow: str, text: str = "", **keys: object) -> Config:
    write_batch(write_run(directory), workflow, text, **keys)
    return load_config(str(directory / "sandbox.cfg"))


def test_without_a_section_all_tasks_run_on_this_machine(tmp_path: Path) -> None:
    loaded = load_config(str(write_run(tmp_path / "run") / "sandbox.cfg"))
    assert all(loaded.batch_for(task) == Batch() for task in BATCH_TASKS)
    assert not Batch().is_remote


def test_a_task_has_the_keys_of_its_section_and_all_others_from_batch(tmp_path: Path) -> None:
    text = '[luigi_ScoreSlides]\ngpus = 2\nsubmit_lines =\n    --qos=long\n    --comment="it\'s, $HOME"\n'
    text += "[luigi_FetchStrain]\nworkflow = local\n"
    loaded = load(tmp_path / "run", "slurm", text, memory=500, partition="small")
    scoring = loaded.batch_for("ScoreSlides")
    assert (scoring.workflow, scoring.memory, scoring.gpus, scoring.partition) == ("slurm", 500, 2, "small")
    assert scoring.submit_lines == Lines(["--qos=long", '--comment="it\'s, $HOME"'])
    assert loaded.batch_for("FetchStrain").workflow == "local"
    assert loaded.batch_for("GenerateInjections") == loaded.batch
    assert loaded.batch.gpus == 0


def test_all_mistakes_are_reported_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    text = "[luigi_ScoreSlide]\ngpus = 1\n[luigi_FetchStrain]\nmemroy = 10\n"
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "run", "slurm", text, cpus="two", partitoin="x")
    for part in (
        "unknown section [luigi_ScoreSlide] (did you mean 'luigi_ScoreSlides'?)",
        "unknown key 'memroy' in [luigi_FetchStrain] (did you mean 'memory'?)",
        "unknown key 'partitoin' in [luigi_batch] (did you mean 'partition'?)",
        "cpus = 'two' in [luigi_batch] is no whole number",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("workflow", "text", "keys", "message"),
    [
        ("pbs", "", {}, r"workflow = 'pbs' in \[luigi_batch\] is none of local, htcondor, slurm"),
        ("slurm", "[luigi_ScoreSlides]\nworkflow = lsf\n", {}, r"workflow = 'lsf' in \[luigi_ScoreSlides\] is none of"),
        ("slurm", "", {"memory": 0}, r"memory = 0 MiB in \[luigi_batch\] must be positive"),
        ("slurm", "", {"max_jobs": 0}, r"max_jobs = 0 in \[luigi_batch\] must be positive"),
        ("slurm", "", {"retries": -1}, r"retries = -1 in \[luigi_batch\] must not be negative"),
        ("slurm", "", {"memory_factor": 0.5}, r"memory_factor = 0\.5 in \[luigi_batch\] must not be less than 1"),
        ("slurm", "", {"submit_lines": "qos=long"}, r"submit_lines in \[luigi_batch\]: give each of Slurm's options"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, workflow: str, text: str, keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path / "run", workflow, text, **keys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "engine=triton",
            r"triton_host = '127.0.0.1' in .* is an address that jobs of slurm, on other machines, cannot reach",
        ),
        ("triton_address=localhost:8001", "triton_address = 'localhost:8001' in .* jobs of slurm, on other machines"),
        ("triton_address=gpu1:8001", ""),
        ("triton_host=gpu1", ""),
    ],
)
def test_a_server_must_be_where_jobs_can_reach_it(tmp_path: Path, line: str, message: str) -> None:
    directory = write_run(tmp_path / "run", "inference.engine=triton", f"inference.{line}")
    write_batch(directory, "slurm")
    path = str(directory / "sandbox.cfg")
    if not message:
        assert load_config(path).batch_for("ScoreSlides").is_remote
        return
    with pytest.raises(ConfigurationError, match=message):
        load_config(path)
    with (directory / "sandbox.cfg").open("a") as file:
        file.write("[luigi_ScoreSlides]\nworkflow = local\n")
    load_config.cache_clear()
    assert not load_config(path).batch_for("ScoreSlides").is_remote
