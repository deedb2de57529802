"""The whole pipeline as a user runs it: whole, killed and resumed, on two workers or by hand, and changed."""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from comparison import content, differences
from terminal import AFRAME, aframe, aframe_here, environment_of, law_run, refused_by_law, run_in, write_run

from aframe import storage
from aframe.candidates import foreground
from aframe.candidates.table import CandidateTable
from aframe.checks.run import mistakes_of
from aframe.errors import DataError, ParameterMismatchError
from aframe.events.cluster import cluster
from aframe.events.significance import Background
from aframe.inference.closeup_files import read_closeups
from aframe.inference.timeseries import Kind, read_series
from aframe.progress import activity
from aframe.progress.ledger import JobProgress
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import check_outputs
from aframe.settings.read import load_config
from aframe.steps import answers, planning
from aframe.steps.devices import use_one_thread
from aframe.steps.scoring import clustering, merge_events, score_unit, trained_model
from aframe.steps.waveforms import generate_injections, merge_injections
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.tasks.base import current_run
from aframe.tasks.report import Report
from aframe.waveforms import source
from aframe.waveforms.loading import load_population

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the pipeline computes."""
    threads = torch.get_num_threads()
    use_one_thread()
    yield
    torch.set_num_threads(threads)


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Modification time and content of each file."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest())
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock" and ".law" not in path.parts
    }


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by the README's first command that nothing interrupted, in a directory whose name has spaces."""
    directory = write_run(tmp_path_factory.mktemp("whole") / "a run with spaces")
    command = ["make", "--old-file=.venv/installed", "sandbox", f"DIR={directory}"]
    variables = {name: value for name, value in environment_of().items() if "MAKE" not in name and name != "MFLAGS"}
    result = subprocess.run(
        command, cwd=REPOSITORY, env=variables | {"HOME": "/nonexistent"}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (directory / "output.txt").write_text(result.stderr + result.stdout)
    return directory


def test_ends_by_saying_where_the_report_is_and_prints_readable_lines(whole_run: Path) -> None:
    lines = (whole_run / "output.txt").read_text().splitlines()
    assert lines[-1] == f"report: {whole_run}/results/report.html"
    assert "report" in (whole_run / "results" / "report.html").read_text().lower()
    epochs = [line for line in lines if line.startswith("Train: epoch ")]
    found = r"(, found at one false alarm a month [\d.e-]+( \(extrapolated\))?)?"
    numbers = rf"loss [\d.]+, AUROC [\d.]+{found}, \d+ s left"
    assert len(epochs) == 2
    assert all(re.fullmatch(rf"Train: epoch {n} of 2: {numbers}", line) for n, line in enumerate(epochs, start=1))
    assert any(re.fullmatch(r"FetchStrain train 1/1: done in [\d.]+ s", line) for line in lines)
    strange = [line for line in lines if not re.match(r"[A-Z]\w+( \w+)?( \d+/\d+)?: |report: ", line)]
    assert len(strange) == 1  # of 16 injections
    assert strange[0].startswith("warning: fewer than 100 effective injections are found at a false alarm rate of ")


def test_keeps_a_log_of_all_that_it_prints_and_says_that_it_has_ended(whole_run: Path) -> None:
    [log] = (whole_run / "logs").glob("*.log")
    head, *logged = log.read_text().splitlines()
    assert "aframe.pipelines.sandbox.Sandbox" in head
    printed = (whole_run / "output.txt").read_text().splitlines()
    assert sorted(line.split(" ", 2)[2] for line in logged) == sorted(printed)
    [told] = activity.read(storage.glob(f"{whole_run}/results/activity", "*.json"))
    assert (told.task, told.state, told.log) == ("run", "ended", str(log))


def test_complete_run_does_nothing_again(whole_run: Path) -> None:
    before = snapshot(whole_run)
    result = law_run(whole_run, "--gpus", "", "--workers", "2", cwd="/")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"report: {whole_run}/results/report.html\n"
    assert snapshot(whole_run) == before


@pytest.fixture
def copied_run(whole_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, which may be changed."""
    directory = tmp_path / "copied"
    shutil.copytree(whole_run, directory)
    (directory / ".env").write_text((directory / ".env").read_text().replace(str(whole_run), str(directory)))
    return directory


def test_a_finished_run_goes_on_once_what_lasts_is_deleted(copied_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it then runs is shown with the vetoes, below."""
    for name, value in environment_of(copied_run).items():
        monkeypatch.setenv(name, value)
    current_run.cache_clear()
    try:
        assert Report().complete()
        (copied_run / "results" / "background.hdf5").unlink()
        assert not Report().complete()
    finally:
        current_run.cache_clear()


def test_the_report_of_an_unfinished_run_names_what_it_lacks(copied_run: Path) -> None:
    for path in (copied_run / "results").iterdir():
        if path.name not in ("background.hdf5", "0lag.hdf5", "foreground.hdf5"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = aframe_here("report", str(copied_run))
    written, lacking = result.stdout.splitlines()
    assert (result.returncode, written) == (0, f"report: {copied_run}/results/report.html")
    names = "exported model, sensitive volume and candidates"
    assert lacking == f"the run is not finished, its report lacks {names}: `aframe run {copied_run}` goes on"


def test_what_a_finished_run_needs_no_more_may_be_deleted_and_comments_may_change(copied_run: Path) -> None:
    for directory in ("train_data", "test_data"):
        shutil.rmtree(copied_run / directory)
    path = copied_run / "sandbox.cfg"
    path.write_text("# a remark\n" + path.read_text().replace("highpass = 32 ", "highpass   =   32.0 "))
    before = snapshot(copied_run / "results")
    result = aframe("run", str(copied_run))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"report: {copied_run}/results/report.html\n"
    assert snapshot(copied_run / "results") == before


def test_no_partial_file_is_left(whole_run: Path) -> None:
    assert not list(whole_run.rglob(".partial-*"))
    assert not list((whole_run / "test_data" / "injections").glob("*"))


def alive_in_session(session: int) -> list[str]:
    """Command lines of the processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


TO_THE_RUN, TO_ALL = os.kill, os.killpg
"""Who is killed: the run, whose processes are to end with it, or all of them at the same time."""

MOMENTS = {
    "train_data/background/*.hdf5": TO_THE_RUN,
    "train_data/training_waveforms.hdf5": TO_ALL,
    "train_data/val_waveforms.hdf5": TO_THE_RUN,
    "train_run/checkpoints/last.ckpt": TO_THE_RUN,
    "test_data/waveforms.hdf5": TO_ALL,
    "results/units/0lag-*.hdf5": TO_THE_RUN,
    "results/units/background-*.hdf5": TO_ALL,
    "results/background.hdf5": TO_THE_RUN,
}
"""Files once one of which is there a run is killed: strain, waveforms, training, injections, scoring, merging."""

TELLING = ("train_run/checkpoints/last.ckpt", "results/units/background-*.hdf5")
"""The moments at which most is unfinished: in training, and in scoring on two workers."""


def killed(directory: Path, pattern: str) -> bool:
    """Go on with a run and kill it once a file is there; whether that came to pass before the run ended."""
    command = [AFRAME, "run", str(directory), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, env=environment_of())
    assert wait_until(lambda: any(directory.glob(pattern)) or process.poll() is not None, 300)
    if process.poll() is not None:
        assert process.returncode == 0, process.args
        return False
    time.sleep(random.Random(pattern).uniform(0, 0.3))
    MOMENTS[pattern](process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not alive_in_session(process.pid), 10), alive_in_session(process.pid)
    return True


@pytest.mark.parametrize(
    ("moments", "fewest"),
    [pytest.param(TELLING, 2, id="two"), pytest.param((*MOMENTS,), 5, id="all", marks=pytest.mark.thorough)],
)
def test_killed_and_resumed_on_two_workers_is_the_same_to_the_byte(
    whole_run: Path, tmp_path: Path, moments: tuple[str, ...], fewest: int
) -> None:
    directory = write_run(tmp_path / "killed")
    if moments == TELLING:
        for name in ("train_data", "test_data"):  # all moments come after these
            shutil.copytree(whole_run / name, directory / name)
    kills = 0
    for pattern in moments:
        if any(directory.glob(pattern)):
            continue
        if not killed(directory, pattern):
            break
        kills += 1
        final = [*directory.rglob("*.hdf5"), *directory.rglob("*.h5"), *directory.rglob("*.json")]
        for path in [path for path in final if not any(part.startswith(".partial-") for part in path.parts)]:
            assert path.stat().st_size > 0
            if path.suffix != ".json":
                h5py.File(path).close()
    result = aframe("run", str(directory), "--workers", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert kills >= fewest
    assert not list(directory.rglob(".partial-*"))
    assert not differences(whole_run, directory)


@pytest.mark.parametrize("store_waveforms", ["true", "false"])
def test_injections_are_the_same_on_16_workers_in_any_order_and_stored_or_not(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_waveforms: str
) -> None:
    configuration = write_run(tmp_path / "other", f"injections.store_waveforms={store_waveforms}") / "sandbox.cfg"
    for name in ("segments.txt", "background"):
        path = whole_run / "test_data" / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / name)
    directories = replace(
        Directories.from_environment(environment_of(whole_run)), test_data=str(tmp_path), results=str(tmp_path)
    )
    run = Artifacts(load_config(str(configuration)), directories)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(source, "PROBES", 64)  # none is refused of these either
    threads = torch.get_num_threads()
    use_one_thread()
    try:
        batches = planning.plan_injections(run)
        for batch in reversed(batches):
            generate_injections(run, batch)
        merge_injections(run)
        for unit in planning.plan_units(run):
            score_unit(run, unit, "cpu")
    finally:
        torch.set_num_threads(threads)
    assert len(batches) > 1
    made, original = (content(path / "waveforms.hdf5") for path in (tmp_path, whole_run / "test_data"))
    expected = {
        name: digest for name, digest in original.items() if store_waveforms == "true" or "waveforms" not in name
    }
    assert {name: made.get(name) for name in expected if "aframe_parameters" not in name} == {
        name: digest for name, digest in expected.items() if "aframe_parameters" not in name
    }
    assert ("waveforms/h1" in made) == (store_waveforms == "true")
    foreground = [RecoveredTable.read(str(path)) for path in sorted((tmp_path / "units").glob("foreground-*"))]
    scored = RecoveredTable.concatenate(foreground)
    known = RecoveredTable.read(str(whole_run / "results" / "foreground.hdf5"))
    np.testing.assert_allclose(scored["detection_statistic"], known["detection_statistic"], atol=1e-4)
    np.testing.assert_array_equal(scored["injection_time"], known["injection_time"])


def test_packing_into_units_changes_no_byte_and_kept_series_hold_all_events(
    whole_run: Path, tmp_path: Path, one_thread: None
) -> None:
    kept = ("inference.return_timeseries=true", "inference.background_per_job=1e6")
    apart = ("inference.background_per_job=1", "inference.embeddings_cache=1")
    for name, changes in (("apart", apart), ("together", kept)):
        configuration = write_run(tmp_path / name, *changes) / "sandbox.cfg"
        directories = replace(Directories.from_environment(environment_of(whole_run)), results=str(tmp_path / name))
        run = Artifacts(load_config(str(configuration)), directories)
        units = planning.plan_units(run)
        assert len(units) == (1 if name == "together" else len(planning.plan_slides(run)))
        told: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
        for unit in reversed(units):
            report = JobProgress(*(lambda done, total, to=to: to.append((done, total)) for to in told))
            score_unit(run, unit, "cpu", progress=report)
        if name == "together":
            for reports in told:  # of the unit, not of each of its segments
                assert reports == sorted(reports)
                assert {total for _, total in reports} == {reports[-1][0]}
        merge_events(run)
        for kind in ("background", "foreground", "0lag"):
            assert content(Path(run.events(kind))) == content(whole_run / "results" / f"{kind}.hdf5")
    embeddings = [path.name for path in (tmp_path / "apart" / "embeddings").glob("*/*.hdf5")]
    assert len(embeddings) == len(planning.background_files(run, "test"))  # of each segment once, for all its units
    series = sorted(str(path) for path in (tmp_path / "together" / "units").glob("timeseries-*"))
    slides = list(kept_series(series))
    assert len([kind for *_, kind in slides if kind == "background"]) == sum(len(unit.slides) for unit in units)
    how = clustering(run, trained_model(run))
    for segment, number, kind in slides:
        scores = read_series(series, segment, number, kind)
        statistic, time = cluster(scores.scores, scores.start, how)
        table = EventTable.read(str(whole_run / "results" / ("background.hdf5" if number else "0lag.hdf5")))
        there = np.isin(statistic, table["detection_statistic"]) & np.isin(time, table["detection_time"])
        assert (there.all() and len(there) > 1) if kind == "background" else (~there).any()
    with pytest.raises(DataError, match=r"background scores of slide 99 of segment 0: .* return_timeseries = true"):
        read_series(series, 0, 99)


def kept_series(paths: Iterable[str]) -> Iterator[tuple[int, int, Kind]]:
    """Segment, slide and kind of all series of scores in some files."""
    kinds: tuple[Kind, ...] = ("background", "foreground")
    for path in paths:
        with storage.open_hdf5(path) as file:
            yield from [(int(s), int(n), k) for s in file for n in file[s] for k in kinds if k in file[s][n]]


def test_a_stretch_of_a_run_can_be_looked_at(whole_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "stretch.html"
    command = ["plot", str(whole_run), "--output", str(page)]
    result = aframe_here(*command, "--time", "1262304400", "--slide", "2")
    assert (result.returncode, result.stderr) == (0, "")
    assert "shifts H1 +0 s, L1 +2 s" in page.read_text()
    for options, words in (
        (("--time", "1262304400", "--slide", "2", "--injections"), "return_timeseries = true"),
        (("--time", "1262305400"), "slide 0 has no whitened strain at 1262305400.000"),
    ):
        refused = aframe_here(*command, *options)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
        assert words in refused.stderr


def test_two_runs_in_one_directory_are_refused(whole_run: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from aframe.machine.locks import lock; lock(sys.argv[1]); "
         "print('held', flush=True); time.sleep(60)", str(whole_run / "results")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        refusal = refused_by_law(whole_run)
    finally:
        holder.kill()
        holder.communicate()
    assert refusal == (
        f"error: another run (process {holder.pid}) is at work in {whole_run}/results: wait for it, or end it"
    )


CHANGES = {
    "search": ("sandbox.cfg", "highpass = 32 ", "highpass = 30 ", ["search.highpass", "32.0", "30.0"]),
    "training": ("train.yaml", "learning_rate: 2.0e-3", "learning_rate: 1.0e-3", ["learning_rate", "0.002", "0.001"]),
    "answers": ("sandbox.cfg", "mass_combos = 35-35,", "mass_combos = 30-30,", ["sensitivity.mass_combos"]),
}
"""What changes after a run: the file, text of it, other text, and words that the refusal has."""

COMMANDS = {
    "check": lambda run: aframe_here("run", str(run), "--check"),
    "aframe": lambda run: aframe("run", str(run)),  # as which law's command goes on
}


@pytest.mark.parametrize(("change", "command"), [*((change, "check") for change in CHANGES), ("training", "aframe")])
def test_changed_parameter_is_refused(whole_run: Path, change: str, command: str) -> None:
    file, old, new, named = CHANGES[change]
    path = whole_run / file
    text = path.read_text()
    assert old in text
    before = snapshot(whole_run)
    path.write_text(text.replace(old, new))
    try:
        result = COMMANDS[command](whole_run)
    finally:
        path.write_text(text)
    after = snapshot(whole_run)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert all(word in result.stderr for word in [*named, "restore the value"])
    assert {k: v for k, v in after.items() if k != file} == {k: v for k, v in before.items() if k != file}


def test_candidates_can_be_removed_from_the_background_that_the_run_made(whole_run: Path, tmp_path: Path) -> None:
    plain = CandidateTable.read(str(whole_run / "results" / "candidates.hdf5"))
    keys = f"removal_far_per_year = {1.001 * plain['far_per_year'][0]}\nnum_timed = 3\n"
    text = (whole_run / "sandbox.cfg").read_text()
    (tmp_path / "removal.cfg").write_text(f"{text}\n[luigi_candidates]\n{keys}")
    loaded = load_config(str(tmp_path / "removal.cfg"))
    run = Artifacts(loaded, Directories.from_environment(environment_of(whole_run)))
    background = Background.read(run.events("background"))
    recovered = RecoveredTable.read(run.events("foreground"))
    populations = foreground.Populations(load_population(loaded.waveforms.prior), None)
    table = answers.rank_run(run, background, recovered, populations)
    assert table["is_removed"][0]
    assert 0 < table.attributes["Tb"] - table.attributes["Tb_cleaned"] < 0.5 * table.attributes["Tb"]
    for name in ("detection_time", "far_per_year", "significance"):
        assert (table[name] == plain[name]).all()
    assert (table["detector_time"][:3] == plain["detector_time"][:3]).all()
    assert (abs(table["detector_time"][:3] - table["detection_time"][:3, None]) < 0.4).all()


def test_the_loudest_are_shown_as_they_were_scored(whole_run: Path) -> None:
    ranked = CandidateTable.read(str(whole_run / "results" / "candidates.hdf5"))
    shown = read_closeups(str(whole_run / "results" / "closeups.hdf5"))
    assert list(shown) == [1, 2, 3]
    assert (whole_run / "results" / "closeups.hdf5").stat().st_size < 3e6
    for rank, closeup in shown.items():
        time, statistic = ranked["detection_time"][rank - 1], ranked["detection_statistic"][rank - 1]
        assert closeup.statistic[np.abs(closeup.statistic_time - time) <= 4].max() == pytest.approx(statistic, abs=1e-3)
        assert set(closeup.q_transforms) == {"H1", "L1"}
    assert (whole_run / "results" / "report.html").read_text().count("<h3>Q transform, L1</h3>") == 3


@pytest.mark.parametrize("is_trained", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_plain_commands_give_the_pipelines_tables(
    whole_run: Path, tmp_path: Path, one_thread: None, is_trained: bool
) -> None:
    directory = write_run(tmp_path / "by hand")
    variables = environment_of(directory)
    if is_trained:
        shutil.copytree(whole_run / "train_run", directory / "train_run")
    model, repository = directory / "train_run" / "model.pt", directory / "results" / "model_repo"
    for command in (
        ["data"],
        ["waveforms"],
        *([] if is_trained else [["train", "fit", "--config", str(directory / "train.yaml")]]),
        ["infer"],
        ["sensitivity"],
        ["export", "--model", str(model), "--repository", str(repository), "--platform", "torch"],
        ["report", str(directory)],
    ):
        start = aframe if command[0] == "train" else aframe_here  # a training has as many threads as the pipeline's
        result = start(*command, variables=variables)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        told = [line for line in result.stderr.splitlines() if not line.startswith("warning: fewer than 100 effective")]
        assert told == []
    assert not differences(whole_run, directory)
    listing = aframe_here("status", str(directory), variables=variables)
    assert listing.returncode == 0
    assert {line[:5].strip() for line in listing.stdout.splitlines()[1:]} == {"done"}


def test_vetoes_clean_a_finished_run_whose_events_are_made_anew_once_they_are_deleted(copied_run: Path) -> None:
    directory, results = copied_run, copied_run / "results"
    merged = [results / f"{kind}.hdf5" for kind in ("background", "foreground", "0lag")]
    known_events, made_before = [content(path) for path in merged], snapshot(results)
    (results / "background.hdf5").unlink()
    assert aframe_here("status", str(directory)).returncode == 4
    gates = directory / "gates.txt"
    gates.write_text("1262304400 10 2\n1262304640 0.5 0.5\n")
    keys = "gates = L1:gates.txt\nknown_events = 1262304700\nknown_event_window = 8\n"
    plain = (directory / "sandbox.cfg").read_text()
    (directory / "sandbox.cfg").write_text(f"{plain}\n[luigi_vetoes]\n{keys}")
    with pytest.raises(ParameterMismatchError, match=r"made with vetoes\.gates = None"):
        check_outputs(run_in(directory))
    for path in [*results.glob("c*.*"), results / "report.html", *(results / "plots").iterdir()]:  # closeups.hdf5 too
        path.unlink()
    gates.write_text("1262304400 ten 2\n")
    with pytest.raises(DataError, match=r"gates\.txt, line 1: '1262304400 ten 2' is no gate"):
        raise mistakes_of(run_in(directory))[0]
    gates.write_text("1262304400 10 2\n1262304640 0.5 0.5\n")
    before = {name: state for name, state in snapshot(results).items() if name.startswith("units/")}
    assert before
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "MergeEvents: done" in result.stdout
    assert "ScoreSlides" not in result.stdout
    assert before.items() <= snapshot(results).items()
    assert [content(path) for path in merged] == known_events
    assert {name for name in made_before if name.endswith(".hdf5")} <= snapshot(results).keys()
    assert aframe_here("status", str(directory)).returncode == 0

    events, clean, zero_lag, clean_zero_lag, vetoed = (
        EventTable.read(str(results / name))
        for name in ("background.hdf5", "clean/background.hdf5", "0lag.hdf5", "clean/0lag.hdf5", "clean/vetoed.hdf5")
    )
    time = events["detection_time"][:, None] + events["shift"]
    gated = (np.abs(time[:, 1] - 1262304400) < 12) | (np.abs(time[:, 1] - 1262304640) < 1)
    known = (np.abs(time - 1262304700) < 8).any(axis=1)
    assert gated.sum() > 0
    assert known.sum() > 0
    np.testing.assert_array_equal(clean["detection_time"], events["detection_time"][~(gated | known)])
    live = Table.read(str(results / "clean/live.hdf5"))
    unshifted = (live["shift"] == 0).all(axis=1)
    assert clean.livetime == pytest.approx(live["duration"][~unshifted].sum())
    assert clean_zero_lag.livetime == pytest.approx(live["duration"][unshifted].sum())
    share = clean.livetime / events.livetime
    assert abs(len(clean) / len(events) - share) < 5 * (share * (1 - share) / len(events)) ** 0.5
    assert zero_lag.livetime - clean_zero_lag.livetime == pytest.approx(26)  # known events stay candidates
    assert len(clean_zero_lag) + len(vetoed) == len(zero_lag)
    assert set(vetoed["vetoes"].tolist()) <= {"L1 gate"}
    ranked = CandidateTable.read(str(results / "candidates.hdf5"))
    inside = np.abs(ranked["detection_time"] - 1262304700) < 8
    assert inside.any()
    np.testing.assert_array_equal(ranked["vetoes"], np.where(inside, "H1 known event; L1 known event", ""))
    livetimes = {"Tb": clean, "T0": clean_zero_lag, "Tb_before_vetoes": events, "T0_before_vetoes": zero_lag}
    for name in ("candidates.hdf5", "plots/sensitive_volume.h5"):
        with h5py.File(results / name) as file:
            assert {key: float(file.attrs[key]) for key in livetimes} == {k: v.livetime for k, v in livetimes.items()}
    injections = RecoveredTable.read(str(results / "clean/foreground.hdf5"))
    assert 0 < len(injections) < 16
    told = f"{len(injections)} of 16 injections"
    assert re.search(
        rf"^Vetoes leave: {clean.livetime:.0f} of .* of background, .* of zero lag, {told}$", result.stdout, re.M
    )
    (directory / "sandbox.cfg").write_text(plain)
    with pytest.raises(ParameterMismatchError, match=r"made with vetoes\.gates"):
        check_outputs(run_in(directory))
