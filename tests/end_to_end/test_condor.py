"""Heavy tasks as jobs of HTCondor: submit files read by its own bindings, runs against a stand-in for its commands."""

import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from comparison import differences
from processes_of_runs import INJECTIONS, running, wait_for
from terminal import aframe, put_on, write_batch, write_run

from aframe.batch.htcondor import description
from aframe.batch.job import Job, write_script
from aframe.settings.jobs import Batch
from aframe.settings.keys import Lines
from aframe.tables import InjectionTable

pytestmark = pytest.mark.condor

SETTINGS = Batch(
    workflow="htcondor",
    gpus=1,
    cpus=2,
    time=7200.0,
    disk=3000,
    accounting_group="ligo.dev.o4.cbc.explore.test",
    accounting_user="albert.einstein",
    use_oauth_services="igwn",
    image="docker://example.org/aframe:1.0",
    submit_lines=Lines(['requirements = Machine != "that one\'s"', '+WantsThis = "a \\"quoted\\" word"']),
)


def ads(pool: Path) -> list[dict[str, object]]:
    """Ads of all jobs, in order."""
    paths = (pool / "jobs").glob("*.json")
    return [json.loads(path.read_text()) for path in sorted(paths, key=lambda path: [*map(int, path.stem.split("."))])]


def submit(directory: Path, text: str) -> str:
    """Submit a file; why it is refused, if it is."""
    path = directory / "submit.sub"
    path.write_text(text)
    done = subprocess.run(["condor_submit", path.name], cwd=directory, check=False, capture_output=True, text=True)
    return done.stderr


def make_jobs(directory: Path, settings: Batch) -> list[Job]:
    made = [
        Job(f"aframe-0-Score-branch-{n}", f"branch-{n}", directory, 1 + n % 2, 1000 * (n + 1), [["task", str(n)]])
        for n in range(3)
    ]
    for job in made:
        write_script(job, settings, [], "environment.sh")
    return made


def test_each_branch_has_an_ad_with_what_it_may_take(condor: Path, tmp_path: Path) -> None:
    (condor / "drained").touch()
    directory = tmp_path / "a directory, with a comma"
    jobs = make_jobs(directory, SETTINGS)
    assert not submit(directory, description(jobs, SETTINGS, "aframe-0-Score"))
    made = ads(condor)
    assert [ad["AframeJob"] for ad in made] == [job.name for job in jobs]
    assert [ad["RequestMemory"] for ad in made] == [1000, 2000, 3000]
    for ad, job in zip(made, jobs, strict=True):
        assert (ad["Cmd"], ad["Out"], ad["Err"]) == (str(job.script), str(job.log), str(job.log))
        expected = {
            "Iwd": str(directory), "RequestCpus": 2, "RequestGPUs": 1, "RequestDisk": 3000 * 1024,
            "AllowedJobDuration": 7200, "AcctGroup": "ligo.dev.o4.cbc.explore.test", "AcctGroupUser": "albert.einstein",
            "AccountingGroup": "ligo.dev.o4.cbc.explore.test.albert.einstein", "OAuthServicesNeeded": "igwn",
            "ContainerImage": "docker://example.org/aframe:1.0", "WantContainer": True, "WantDockerImage": True,
            "WantsThis": 'a "quoted" word', "AframeTask": "aframe-0-Score", "TransferOutput": "", "Environment": "",
        }  # fmt: skip
        assert {name: ad.get(name) for name in expected} == expected
    plain = Batch(workflow="htcondor")
    assert not submit(directory, description(make_jobs(directory, plain), plain, "aframe-0-Score"))
    assert not {"ContainerImage", "AcctGroup", "OAuthServicesNeeded", "RequestGPUs"} & ads(condor)[-1].keys()


def test_each_line_of_the_submit_file_is_one_that_htcondor_knows(condor: Path, tmp_path: Path) -> None:
    (condor / "drained").touch()
    lines = description(make_jobs(tmp_path / "jobs", SETTINGS)[:1], SETTINGS, "aframe-0-Score").splitlines()
    assert not submit(tmp_path, "\n".join(lines))
    whole = {k: v for k, v in ads(condor)[0].items() if k not in ("ClusterId", "QDate", "EnteredCurrentStatus")}
    for line in lines[: lines.index("queue attempt, label, memory from (")]:
        if line.startswith(("universe", "requirements")):  # implied by the image, and added to by HTCondor
            continue
        refused = submit(tmp_path, "\n".join(other for other in lines if other != line))
        without = ads(condor)[-1]
        assert refused or {k for k, v in whole.items() if without.get(k) != v}, f"{line} does nothing"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without jobs."""
    directory = write_run(tmp_path_factory.mktemp("local") / "run")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


@pytest.mark.parametrize("place", ["disk", pytest.param("s3", marks=pytest.mark.s3)])
def test_the_same_tables_as_on_this_machine(
    place: str, condor: Path, local: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    directory = write_batch(write_run(tmp_path / "a run, with 'quotes'"), "htcondor")
    made = directory
    if place == "s3":
        made = request.getfixturevalue("bucket")
        put_on(made, directory)
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert not differences(local, made)
    done = ads(condor)
    assert len({ad["AframeJob"] for ad in done}) == len(done) > 10
    assert {ad["JobStatus"] for ad in done} == {4}
    assert re.search(r"\nScoreSlides: \d jobs submitted to HTCondor, in ", result.stdout)
    assert not list(directory.rglob(".partial-*"))


def test_jobs_that_are_held_evicted_or_lost_are_done_in_the_end(
    condor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret; with 'quotes' and $dollars")
    directory = write_batch(write_run(tmp_path / "run"), "htcondor", "[luigi_GenerateInjections]\nmemory = 1000\n")
    (condor / "orders").mkdir()
    for name, order in {
        "FetchStrain-test-branch-0": "evict",
        "FetchStrain-test-branch-1": "lose",
        "GenerateInjections-branch-0": "hold 34 Error from slot1: memory usage exceeded request_memory",
        "GenerateInjections-branch-1": "hold 13 Transfer input files failure",
    }.items():
        (condor / "orders" / name).write_text(order)
    (condor / "drained").touch()
    with running(directory, tmp_path / "output.txt", *INJECTIONS) as process:
        wait_for(lambda: len(ads(condor)) == 2)
        environment = directory / "condor" / "FetchStrain-test" / "environment.sh"
        assert stat.S_IMODE(environment.stat().st_mode) == 0o600
        shown = subprocess.run(
            ["bash", "-c", '. "$1"; printf %s "$AWS_SECRET_ACCESS_KEY"', "bash", environment], capture_output=True,
            text=True, check=True, env={},
        )  # fmt: skip
        assert shown.stdout == os.environ["AWS_SECRET_ACCESS_KEY"]
        assert "a secret" not in json.dumps(ads(condor))
        (condor / "drained").unlink()
        assert process.wait(400) == 0, (tmp_path / "output.txt").read_text()
    output = (tmp_path / "output.txt").read_text()
    assert not list((condor / "orders").iterdir())
    assert "FetchStrain test: branch 0 failed" not in output
    assert (
        "FetchStrain test: branch 1 failed (branch task(s) incomplete due to missing outputs), to be submitted"
        in output
    )
    held = r"GenerateInjections: branch 0 failed \(held: .*memory.*\), to be submitted again with 2000 MiB of memory\n"
    assert re.search(held, output)
    assert "GenerateInjections: branch 1 failed (held: Transfer input files failure), to be submitted again\n" in output
    requested = [ad["RequestMemory"] for ad in ads(condor) if "GenerateInjections" in ad["AframeJob"]]
    assert requested[:2] == [1000, 1000]
    assert sorted(requested[2:]) == [1000, 2000]  # in the order in which they were held
    assert sorted(ad["JobStatus"] for ad in ads(condor)) == [3, 3, 4, 4, 4, 4]  # of the lost one nothing is left
    assert len(InjectionTable.read(str(directory / "test_data" / "waveforms.hdf5"))) == 16


def test_jobs_outlive_a_killed_run_and_the_next_one_finds_them(condor: Path, tmp_path: Path) -> None:
    directory, output = write_batch(write_run(tmp_path / "run"), "htcondor"), tmp_path / "output.txt"
    (condor / "drained").touch()
    with running(directory, output, *INJECTIONS) as process:
        wait_for(lambda: "FetchStrain test: 2 jobs submitted to HTCondor" in output.read_text())
        os.killpg(process.pid, signal.SIGKILL)
    for record in (directory / "condor" / "FetchStrain-test").glob("htcondor_jobs_*.json"):
        record.unlink()  # as where the run is killed before it has written down what it submitted
    with running(directory, output, *INJECTIONS) as process:
        wait_for(lambda: "FetchStrain test: 2 jobs of an earlier run followed" in output.read_text())
        (condor / "drained").unlink()
        assert process.wait(400) == 0, output.read_text()
    names = [ad["AframeJob"] for ad in ads(condor)]
    assert len(names) == len(set(names)) == 4
    assert len(InjectionTable.read(str(directory / "test_data" / "waveforms.hdf5"))) == 16
