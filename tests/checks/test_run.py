"""What users do wrong, kind by kind, and the one line that each is told: exit code 1, no traceback, nothing written."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from terminal import run_in, settle, write_run

from aframe import cli, storage
from aframe.checks.run import check_gpus
from aframe.commands.runs import load_environment
from aframe.errors import ConfigurationError, MistakesError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.settings.read import read_config
from aframe.settings.sections import Config
from aframe.train import model
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

CHECK = ("run", "{run}", "--check")

LOCAL = "source = local\nframes = frames"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Variables of no run, and after the test those of before."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AFRAME_", "LAW_")):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's files, and an untrained model of the LIGO detectors."""
    directory = write_run(tmp_path_factory.mktemp("template") / "run")
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), Whitening(2048.0, 8.0, 1.0, 1.0, 8.0, 32.0, None))
    network = FactorisedNetwork(2, preprocessing.kernel_size)
    network.hop(preprocessing.stride_size)
    model.save(Model(network.eval(), preprocessing), str(directory / "untrained.pt"), {})
    return directory


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    """A run of which nothing is made."""
    shutil.copytree(template, tmp_path / "run")
    path = tmp_path / "run" / ".env"
    path.write_text(path.read_text().replace(str(template), str(tmp_path / "run")))
    return tmp_path / "run"


def cfg(pattern: str, replacement: str) -> Callable[[Path], None]:
    """Another text in the .cfg; a key that it has not goes before the pattern's match."""
    return lambda run: edit(run / "sandbox.cfg", pattern, replacement)


def yaml(pattern: str, replacement: str) -> Callable[[Path], None]:
    """Another text in the training's YAML."""
    return lambda run: edit(run / "train.yaml", pattern, replacement)


def env(name: str, value: str) -> Callable[[Path], None]:
    """Another directory."""
    return lambda run: edit(run / ".env", rf"^AFRAME_{name}_DIR=.*$", f'AFRAME_{name}_DIR="{value}"')


def file(name: str, content: str | bytes, *others: Callable[[Path], None]) -> Callable[[Path], None]:
    """A file in the run's directory, and what uses it."""

    def write(run: Path) -> None:
        path = run / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        for other in others:
            other(run)

    return write


def frames(ifos: str = "H1 L1", rate: float = 2048.0, fill: float | None = None) -> Callable[[Path], None]:
    """Files of a minute of strain, used by the .cfg."""

    def write(run: Path) -> None:
        edit(run / "sandbox.cfg", r"^source = simulated", LOCAL)
        (run / "frames").mkdir()
        for ifo in ifos.split():
            with h5py.File(run / "frames" / f"{ifo}.hdf5", "w") as target:
                noise = np.random.default_rng(0).normal(0, 1e-21, round(60 * rate)) if fill is None else fill
                target.create_dataset(ifo, data=np.broadcast_to(noise, round(60 * rate)))
                target[ifo].attrs.update({"x0": 1262304000.0, "dx": 1 / rate})

    return write


def cut(run: Path) -> None:
    """The second file of strain, cut short."""
    frames()(run)
    os.truncate(run / "frames" / "L1.hdf5", 50_000)


def program(name: str, script: str = "exit 0") -> Callable[[Path], None]:
    """A command of that name, and what it does."""

    def install(run: Path) -> None:
        path = run.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        os.environ["PATH"] = f"{path.parent}{os.pathsep}{os.environ['PATH']}"

    return install


def in_turn(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    """Several changes."""

    def change(run: Path) -> None:
        for each in changes:
            each(run)

    return change


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement.replace("\\", r"\\"), path.read_text(), flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)


def nothing(run: Path) -> None:
    """Leave all as it is."""


def snapshot(directory: Path) -> dict[str, bytes | None]:
    """Content of each file, but for what python keeps of a prior's module."""
    paths = (path for path in sorted(directory.rglob("*")) if "__pycache__" not in path.parts)
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a command that must fail tells on the terminal."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert stop.value.code in (1, 2)  # 2: the command line itself is wrong
    assert "Traceback" not in out + err
    return err.splitlines()


SIGNALS = {
    "prior of no module": (
        cfg(r"^prior = \S+", "prior = my.priors.bns"),
        CHECK,
        r"prior = my\.priors\.bns cannot be im",
    ),
    "prior of no function": (
        cfg(r"^prior = \S+", "prior = aframe.waveforms.priors.demo_bhb"),
        CHECK,
        "demo_bhb cannot be imported",
    ),
    "prior that fails": (
        file("faulty.py", "def binaries():\n    return 1 / 0\n", cfg(r"^prior = \S+", "prior = faulty.binaries")),
        CHECK,
        r"sandbox\.cfg:\d+: prior = faulty\.binaries fails \(ZeroDivisionError: division by zero\): mend",
    ),
    "prior that is no population": (
        file("own_list.py", "def binaries():\n    return []\n", cfg(r"^prior = \S+", "prior = own_list.binaries")),
        CHECK,
        r"prior = own_list\.binaries gives a list: it must be a function that returns an aframe",
    ),
    "prior file that is missing": (
        cfg(r"^prior = \S+", "prior = own.prior"),
        CHECK,
        r"own\.prior: neither \S+ nor a file of bilby's collection",
    ),
    "prior without a needed parameter": (
        file(
            "own.prior",
            "mass_1_source = Uniform(name='mass_1_source', minimum=5, maximum=100)\n",
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r"own\.prior: .*(lacks|needs|without|has no)",
    ),
    "prior file that is a table": (
        file("table.prior", "mass_1,mass_2\n" + "30,20\n" * 280, cfg(r"^prior = \S+", "prior = ./table.prior")),
        CHECK,
        r"table\.prior is no prior file: 'mass_1,mass_2' is no name; give lines such as",
    ),
    "unknown approximant": (
        cfg(r"^approximant = \S+", "approximant = IMRPhenomZ"),
        CHECK,
        r":\d+: approximant = IMRPhenomZ is none of",
    ),
    "approximant without the prior's spins": (
        cfg(r"^approximant = \S+", "approximant = IMRPhenomD"),
        CHECK,
        "approximant = IMRPhenomD does not precess",
    ),
}
"""Of the population and its waveforms: what is done wrong, the command, and what it tells."""

RUNS = {
    "misspelled key": (
        cfg("^highpass =", "highpas ="),
        CHECK,
        r"sandbox\.cfg:21: unknown key 'highpas' in \[luigi_search\] \(did you mean 'highpass'\?\)",
    ),
    "misspelled section": (
        cfg(r"^\[luigi_inference\]", "[luigi_inferense]"),
        CHECK,
        r"sandbox\.cfg:\d+: unknown section \[luigi_inferense\] \(did you mean 'luigi_inference'\?\)",
    ),
    "missing key": (
        cfg("^highpass = .*$", ""),
        CHECK,
        r"missing key 'highpass' in \[luigi_search\] \(frequency .*, Hz\)",
    ),
    "word for a number": (cfg("^highpass = 32", "highpass = low"), CHECK, r":21: highpass = 'low' .* is no number"),
    "number that is none": (cfg("^Tb = 3000", "Tb = inf"), CHECK, r"Tb = 'inf' in \[luigi_inference\] is not finite"),
    "key given twice": (
        cfg("^seed = 1122", "seed = 1122\nseed = 3"),
        CHECK,
        r":25: seed in \[luigi_search\] stands in line 24 too: keep",
    ),
    "section given twice": (
        cfg(r"^\[luigi_data\]", "[luigi_search]\nseed = 3\n\n[luigi_data]"),
        CHECK,
        r"seed in \[luigi_search\] stands in",
    ),
    "line without a value": (
        cfg("^highpass = .*$", "highpass"),
        CHECK,
        r"sandbox\.cfg:21: 'highpass\\n' is no `key = ",
    ),
    "no sections": (file("sandbox.cfg", "highpass = 32\n"), CHECK, r"sandbox\.cfg is no configuration file"),
    "percent sign": (cfg(r"^asd = \S+", "asd = 90%.txt"), CHECK, r":\d+: asd = '90%\.txt' in \[luigi_data\] has a %"),
    "highpass above Nyquist": (
        cfg("^highpass = 32", "highpass = 600"),
        CHECK,
        r":21: highpass = 600 Hz .* Nyquist frequency 512 Hz",
    ),
    "signals that begin above highpass": (
        cfg("^minimum_frequency = 20", "minimum_frequency = 120"),
        CHECK,
        r":\d+: minimum_frequency = 120 Hz .* is above highpass = 32 Hz in \[luigi_search\]: signals would lack",
    ),
    "kernel longer than the waveform": (
        cfg("^kernel_length = 1.5", "kernel_length = 5"),
        CHECK,
        "kernel_length = 5 s .* longer than waveform_duration = 4 s",
    ),
    "PSD longer than the segments": (
        cfg("^psd_length = 64", "psd_length = 256"),
        CHECK,
        "min_duration = 200 s .* is too short: psd_length, .* take 258 s",
    ),
    "shifts shorter than the light's travel": (
        in_turn(
            cfg("^inference_sampling_rate = 8", "inference_sampling_rate = 128"),
            cfg("^shifts = 0, 1", "shifts = 0, 0.0078125"),
        ),
        CHECK,
        r"shifts = 0, 0\.0078125 s .* slides H1 and L1 by 0\.0078125 s, in which light .* \(10\.0 ms\)",
    ),
    "shifts between windows": (
        cfg("^shifts = 0, 1", "shifts = 0, 1.1"),
        CHECK,
        r"shifts = 0, 1\.1: 1\.1 s lies between windows, .* 1 or 1\.125",
    ),
    "shifts of three detectors": (
        cfg("^shifts = 0, 1", "shifts = 0, 1, 2"),
        CHECK,
        "one value for each of ifos = H1, L1",
    ),
    "misspelled detector": (
        cfg("^ifos = H1, L1", "ifos = H1, LL1"),
        CHECK,
        r"sandbox\.cfg:14: ifos = H1, LL1: LAL knows no detector LL1; it knows",
    ),
    "times in the wrong order": (
        cfg(r"^test_stop = \d+", "test_stop = 1262304001"),
        CHECK,
        "test_stop = 1262304001 .* must come after train_stop",
    ),
    "more background than there can be": (
        cfg("^Tb = 3000", "Tb = 1e9"),
        CHECK,
        r"sandbox\.cfg:\d+: Tb = 1000000000 s cannot be reached: .*; lower Tb",
    ),
    "more injections than have room": (
        cfg("^num_injections = 16", "num_injections = 100000"),
        CHECK,
        "num_injections = 100000 do not fit .* hold",
    ),
    "segments that are all too short": (
        cfg(r"^test_stop = \d+", "test_stop = 1262304356"),
        CHECK,
        "no coincident segment of min_duration = 200 s .* 100 s",
    ),
    "list of segments that is missing": (
        cfg("^min_duration", "segments = mine.txt\nmin_duration"),
        CHECK,
        r"mine\.txt does not exist",
    ),
    "list of segments that is none": (
        file("mine.txt", "1 two\n", cfg("^min_duration", "segments = mine.txt\nmin_duration")),
        CHECK,
        r"mine\.txt, line 1: '1 two' is no segment: expected",
    ),
    "unknown noise curve": (
        cfg(r"^asd = \S+", "asd = quiet.txt"),
        CHECK,
        r":\d+: asd = 'quiet\.txt' is neither a file nor .*aLIGO_O4_high",
    ),
    "noise curve that is none": (
        file("curve.txt", "10 1e-23\n5 1e-23\n", cfg(r"^asd = \S+", "asd = curve.txt")),
        CHECK,
        r"curve\.txt: frequencies must rise",
    ),
    "directory of strain that is missing": (
        cfg("^source = simulated", LOCAL),
        CHECK,
        r"frames holds no \.hdf5, .*: mend frames in \[luigi_data\]",
    ),
    "strain of another detector": (
        frames("H1 V1"),
        CHECK,
        r"frames holds strain of H1, V1, none of L1: mend frames in \[luigi_data\], or ifos",
    ),
    "strain of too low a rate": (
        frames(rate=512.0),
        CHECK,
        r"H1\.hdf5: strain of H1 at 1262304000 has 512 Hz, less than sample_rate = 1024 Hz",
    ),
    "strain that is cut short": (cut, CHECK, r"frames/L1\.hdf5 is not a complete HDF5 file"),
    "strain that is no strain": (
        file("frames/H1.hdf5", "once upon a time", cfg("^source = simulated", LOCAL)),
        CHECK,
        r"frames/H1\.hdf5 is no HDF5 file: mend the path",
    ),
    "PSD for a noise curve": (
        file("psd.txt", "5 1e-46\n2000 1e-46\n", cfg(r"^asd = \S+", "asd = psd.txt")),
        CHECK,
        r"psd\.txt has a median of 1e-46 in band, .* it looks like a PSD: give its square root",
    ),
    "noise curve of another band": (
        file("narrow.txt", "100 1e-23\n199 1e-23\n", cfg(r"^asd = \S+", "asd = narrow.txt")),
        CHECK,
        r"narrow\.txt covers 100 to 199 Hz, not the band of 32 to 512 Hz",
    ),
    "gates that are missing": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_vetoes]\ngates = H1:gates.txt\n\n[luigi_sensitivity]"),
        CHECK,
        r"gates\.txt does not exist",
    ),
    "gates of another detector": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_vetoes]\ngates = V1:gates.txt\n\n[luigi_sensitivity]"),
        CHECK,
        r":\d+: gates = V1:gates\.txt .* no DETECTOR:FILE of a detector in ifos, such as H1:gates\.txt",
    ),
    "batch system that is not here": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_batch]\nworkflow = htcondor\n\n[luigi_sensitivity]"),
        CHECK,
        "workflow = htcondor of FetchStrain: condor_submit is not on PATH: run on a machine that submits",
    ),
    "batch system that does not answer": (
        in_turn(
            cfg(r"^\[luigi_sensitivity\]", "[luigi_batch]\nworkflow = slurm\n\n[luigi_sensitivity]"),
            program("sbatch"),
            program("scancel"),
            program("squeue", "echo 'no controller' >&2; exit 1"),
        ),
        CHECK,
        r"workflow = slurm of FetchStrain: squeue fails \(no controller\): wait until slurm is mended",
    ),
    "misspelled key of the YAML": (
        yaml("^  learning_rate:", "  learning_rat:"),
        CHECK,
        r"train\.yaml:\d+: unknown key 'learning_rat' in model \(did you mean 'learning_rate'\?\)",
    ),
    "GPU where there is none": (
        yaml("^  accelerator: .*$", "  accelerator: gpu"),
        CHECK,
        r"train\.yaml:\d+: trainer\.accelerator = 'gpu', but torch finds no GPU here: set auto or cpu",
    ),
    "training in a precision that no processor has": (
        yaml("^  precision: .*$", "  precision: 16-mixed"),
        CHECK,
        r"train\.yaml:\d+: trainer\.precision = 16-mixed is for GPUs, and this training is on a processor: set auto$",
    ),
    "training in a precision of no name": (
        yaml("^  precision: .*$", "  precision: double"),
        CHECK,
        r"train\.yaml:\d+: trainer\.precision = 'double' must be auto, 32-true, bf16-mixed, ",
    ),
    "record of a precision that is damaged": (
        file("train_run/precision.json", '{"prec', nothing),
        CHECK,
        r"train_run/precision\.json is no record of a precision \(32-true or bf16-mixed\): delete it",
    ),
    "scoring in a precision of no name": (
        cfg("^precision = float32", "precision = half"),
        CHECK,
        r"sandbox\.cfg:\d+: precision = 'half' in \[luigi_inference\] is none of auto, float32, bfloat16, float16$",
    ),
    "misspelled argument of a network": (
        yaml("^      embedding_size:", "      embeding_size:"),
        CHECK,
        r"'embeding_size' .*did you mean 'embedding_size'\?",
    ),
    "misspelled network": (
        yaml("class_path: FactorisedNetwork", "class_path: FactorizedNetwork"),
        CHECK,
        "did you mean 'FactorisedNetwork'",
    ),
    "word for a number in the YAML": (
        yaml("^  learning_rate: .*$", "  learning_rate: quick"),
        CHECK,
        r"train\.yaml:17: model\.learning_rate = 'quick' must be a number",
    ),
    "key given twice in the YAML": (
        yaml("^  repairings: .*$", "  repairings: 3\n  repairings: 4"),
        CHECK,
        r"model\.repairings stands in line 20 too",
    ),
    "values of the YAML that do not go together": (
        yaml("^  first_coalescence: .*$", "  first_coalescence: 1.45"),
        CHECK,
        r"train\.yaml:\d+: first_coalescence = 1\.45 s and last_coalescence = 1\.4 s must follow each other",
    ),
    "YAML that is none": (yaml("^trainer:", "trainer: ["), CHECK, r"train\.yaml:4: this is no YAML file"),
    "YAML that is missing": (cfg("^config = train.yaml", "config = other.yaml"), CHECK, r"other\.yaml does not exist"),
    "run that was moved": (
        lambda run: edit(run / ".env", "^AFRAME_RUN_DIR=.*$", f'AFRAME_RUN_DIR="{run.parent}/before"'),
        CHECK,
        r"\.env:2: AFRAME_RUN_DIR = .*/before is not the directory of this file: if .* copied, set it to .*/run$",
    ),
    "line of .env that is none": (
        lambda run: edit(run / ".env", "^AFRAME_RESULTS_DIR=", "AFRAME_RESULTS_DIR = "),
        CHECK,
        r"\.env:8: this is no NAME=.value.: mend the line",
    ),
    ".env that is no text": (
        file(".env", b"\xff\xfe"),
        CHECK,
        r"\.env is no text file",
    ),
    "masses that the prior does not have": (
        cfg("^mass_combos = .*$", "mass_combos = 35-35, 300-200"),
        CHECK,
        r"sandbox\.cfg:\d+: mass_combos = 300-200: the prior of the injections makes no binary of such",
    ),
    "variable that is not set": (
        env("RESULTS", ""),
        CHECK,
        "environment variable AFRAME_RESULTS_DIR is not set: set it",
    ),
    "store of another kind": (
        env("RESULTS", "gs://bucket/x"),
        CHECK,
        "AFRAME_RESULTS_DIR = gs://bucket/x is no local directory or s3://",
    ),
    "submit files on a store": (
        env("CONDOR", "s3://bucket/x"),
        CHECK,
        "AFRAME_CONDOR_DIR = s3://bucket/x is no local directory: choose one",
    ),
    "directory under a file": (
        env("TRAIN_DATA", "/etc/passwd/x"),
        CHECK,
        "AFRAME_TRAIN_DATA_DIR = .* cannot be written .*/etc/passwd is no directory",
    ),
    "disk that is full": (
        env("RESULTS", "/proc/aframe"),
        CHECK,
        r"AFRAME_RESULTS_DIR = /proc/aframe cannot be written \(its disk has 0 MB",
    ),
    "GPU that is none": (
        nothing,
        (*CHECK, "--gpus", "0,first"),
        "--gpus 0,first: first is no GPU: give numbers, as 0,1",
    ),
    "parameters that differ from what is there": (
        in_turn(lambda run: settle(run, "injections"), cfg("^spacing = 16", "spacing = 20")),
        CHECK,
        r"waveforms\.hdf5 was made with injections\.spacing = 16\.0, but the configuration .* = 20\.0: restore",
    ),
    "result that is cut short": (
        file("test_data/waveforms.hdf5", b"\x89HDF"),
        CHECK,
        r"waveforms\.hdf5 is not a complete HDF5 file",
    ),
}
"""Of a run but its signals: the same."""

COMMANDS = {
    "run that is not there": (
        nothing,
        ("run", "{run}/nowhere"),
        "nowhere/run.sh does not exist: write .* `aframe init",
    ),
    "run that is a file": (nothing, ("run", "{run}/train.yaml"), r"train\.yaml/run\.sh does not exist"),
    "configuration that is missing": (
        lambda run: (run / "sandbox.cfg").unlink(),
        CHECK,
        r"sandbox\.cfg does not exist: `aframe init DIR` writes",
    ),
    "directory for a configuration": (
        nothing,
        ("data", "--cfg", "{run}"),
        "run is a directory: give the .cfg file in it",
    ),
    "no configuration at all": (nothing, ("data",), "which run[?] give --cfg FILE, or set LAW_CONFIG_FILE"),
    "misspelled command": (nothing, ("stauts", "{run}"), "there is no command 'stauts' .did you mean 'status'"),
    "misspelled option": (
        nothing,
        ("run", "{run}", "--wrokers", "2"),
        "no option --wrokers .did you mean '--workers'",
    ),
    "option without its value": (nothing, ("run", "{run}", "--workers"), "argument --workers: expected one argument"),
    "word for a number on the command line": (
        nothing,
        ("run", "{run}", "--workers", "all"),
        "--workers: invalid int value",
    ),
    "command without what it is about": (nothing, ("run",), "required: directory; `aframe run --help` tells all"),
    "misspelled training command": (nothing, ("train", "fot"), "invalid choice: 'fot'"),
    "word for a number in training": (
        nothing,
        ("train", "fit", "--config", "{run}/train.yaml", "--model.learning_rate=quick"),
        r"model\.learning_rate = 'quick' must be a number$",
    ),
    "training without a file": (
        nothing,
        ("train", "fit"),
        "needs --config FILE: `aframe init DIR` writes a train.yaml",
    ),
    "run that is there already": (nothing, ("init", "{run}"), "already has sandbox.cfg, train.yaml, .env, run.sh"),
    "word for a number to set": (
        nothing,
        ("init", "{run}/new", "--set", "inference.Tb=long"),
        r"--set inference\.Tb=long: Tb = 'long' in \[luigi_inference\] is no number",
    ),
    "unknown key of the YAML to set": (
        nothing,
        ("init", "{run}/new", "--set", "train.trainer.max_epoch=3"),
        r"train\.yaml has no key 'max_epoch' there \(did you mean 'max_epochs'\?\)",
    ),
    "page of another kind": (
        nothing,
        ("plot", "{run}", "--time", "1262304000", "--output", "{run}/page.txt"),
        r"page\.txt is no page: give a name that ends with \.html",
    ),
    "files without a detector": (
        frames("H1 L1"),
        ("init", "{run}/new", "--frames", "{run}/frames", "--ifos", "H1,V1"),
        r"frames holds strain of H1, L1, none of V1: give another directory, or other --ifos",
    ),
    "unknown key to set": (
        nothing,
        ("init", "{run}/new", "--set", "search.highpas=3"),
        "unknown key 'highpas' .*did you mean 'highpass'",
    ),
    "run of another kind": (
        nothing,
        ("init", "{run}/new", "--config", "bhb"),
        "invalid choice: 'bhb' .choose from 'demo', 'bbh'",
    ),
    "number of workers below zero": (nothing, ("run", "{run}", "--workers", "-2"), "--workers -2 must be positive"),
    "report of what is no run": (nothing, ("report", "{run}/frames"), r"frames/\.env does not exist"),
    "options of strain without strain": (
        nothing,
        ("infer", "--cfg", "{run}/sandbox.cfg", "--precision", "bfloat16", "--top", "3"),
        "--precision, --top go with --strain: without it",
    ),
    "strain and a run": (
        nothing,
        ("infer", "--cfg", "{run}/sandbox.cfg", "--model", "m.pt", "--strain", "H1.hdf5"),
        r"--cfg \S+ is of a run, and --strain of files",
    ),
    "strain without a model": (nothing, ("infer", "--strain", "{run}/H1.hdf5"), "--strain needs --model model.pt"),
    "model that is none": (
        nothing,
        ("infer", "--model", "{run}/train.yaml", "--strain", "H1.hdf5"),
        r"train\.yaml is no model file",
    ),
    "model that is missing": (
        nothing,
        ("export", "--model", "{run}/none.pt", "--repository", "{run}/models"),
        r"none\.pt does not exist",
    ),
    "strain that is missing": (
        nothing,
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/none*.hdf5"),
        r"none\*\.hdf5 .*mend the path",
    ),
    "strain without samples": (
        frames(fill=np.nan),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        r"missing \(NaN\)|H1",
    ),
    "strain of a detector too few": (
        frames("H1"),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        "H1, L1",
    ),
    "output of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "{run}/events.csv"),
        r"events\.csv is no HDF5 file: give a name that ends in \.hdf5",
    ),
    "page of events of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--page", "{run}/events.pdf"),
        r"events\.pdf is no page: give a name that ends in \.html",
    ),
    "directory for a background": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--background", "{run}"),
        r"run is a directory: give an HDF5 file$",
    ),
    "background of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--background", "{run}/train.yaml"),
        r"train\.yaml is no HDF5 file: mend the path",
    ),
    "window of no length": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--integration-window-length", "0"),
        r"integration_window_length = 0\.0 s must be positive",
    ),
    "fewer candidates than one": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--top", "-3"),
        r"--top -3: give at least 1",
    ),
    "new run in a file": (
        nothing,
        ("init", "{run}/train.yaml"),
        r"cannot be written \(\S+/train\.yaml is no directory",
    ),
    "new run of too long a name": (nothing, ("init", "{run}/" + "x" * 300), r"a name in it is longer than 255 bytes"),
    "new run where the system allows none": (nothing, ("init", "/proc/aframe"), r"/proc/aframe cannot be written \("),
    "page in what is no directory": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--page", "/dev/full/p.html"),
        r"/dev/full/p\.html cannot be written \(/dev/full is no directory\)",
    ),
    "output that cannot be written": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "/proc/events.hdf5"),
        r"/proc/events\.hdf5 cannot be written",
    ),
}
"""Of other commands: the same."""


ON_A_PROCESSOR = ("GPU where there is none", "training in a precision that no processor has")
"""Mistakes that are none on a machine with a GPU."""


@pytest.mark.parametrize("kind", [*RUNS, *SIGNALS, *COMMANDS])
def test_each_mistake_is_told_in_one_line(kind: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if kind in ON_A_PROCESSOR and torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    do_wrong, command, line = {**RUNS, **SIGNALS, **COMMANDS}[kind]
    do_wrong(run)
    if kind in RUNS and not (run / "test_data").exists():
        settle(run, "injections")
    if kind in RUNS and do_wrong.__qualname__.split(".")[0] != "yaml":
        settle(run, "model")
    before = snapshot(run)
    (found,) = told(capsys, *(word.format(run=run) for word in command))
    assert found.startswith("error: ")
    assert re.search(line, found), found
    assert snapshot(run) == before


def test_there_are_enough_kinds_and_none_has_the_line_of_another() -> None:
    assert len({**RUNS, **SIGNALS, **COMMANDS}) == len(RUNS) + len(SIGNALS) + len(COMMANDS) >= 60


def test_mistakes_of_all_kinds_are_told_at_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = (
        "misspelled key", "kernel longer than the waveform", "unknown noise curve", "misspelled key of the YAML",
        "word for a number in the YAML", "disk that is full", "gates of another detector",
    )  # fmt: skip
    for kind in kinds[:4]:
        RUNS[kind][0](run)
    edit(run / "train.yaml", "^  weight_decay: .*$", "  weight_decay: some")
    for kind in kinds[5:]:
        RUNS[kind][0](run)
    SIGNALS["prior of no module"][0](run)
    before = snapshot(run)
    heading, *lines = told(capsys, "run", str(run))
    assert heading == "error: 8 mistakes, and nothing was run:"
    expected = [RUNS[kind][2] for kind in kinds if kind != "word for a number in the YAML"]
    for line in [*expected, SIGNALS["prior of no module"][2], r"model\.weight_decay = 'some' must be a number"]:
        assert len([found for found in lines if re.search(line, found)]) == 1, line
    assert len(lines) == 8
    assert snapshot(run) == before


def test_mistakes_of_the_environment_hide_no_other(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("line of .env that is none", "misspelled key"):
        RUNS[kind][0](run)
    heading, *lines = told(capsys, "run", str(run))
    assert heading == "error: 2 mistakes, and nothing was run:"
    for kind in ("line of .env that is none", "misspelled key"):
        assert any(re.search(RUNS[kind][2], line) for line in lines), kind


def test_numbers_of_the_training_that_are_none_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, value in {"batch_size": "0", "learning_rate": "-1.0", "warmup_fraction": "1.5"}.items():
        edit(run / "train.yaml", rf"^  {key}: .*$", f"  {key}: {value}")
    heading, *lines = told(capsys, "run", str(run), "--check")
    assert heading == "error: 3 mistakes, and nothing was run:"
    for line in ("data.batch_size = 0 must be positive", "model.learning_rate = -1.0 must be positive",
                 "model.warmup_fraction = 1.5 must lie between 0 and 1"):  # fmt: skip
        assert any(found.endswith(line) for found in lines), line


def test_a_run_without_mistakes_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle(run, "injections", "model")
    before = snapshot(run)
    cli.main([word.format(run=run) for word in CHECK])
    assert capsys.readouterr().out == f"{run}: no mistakes found\n"
    assert snapshot(run) == before


def test_a_batch_system_whose_jobs_are_all_done_need_not_answer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RUNS["batch system that does not answer"][0](run)
    settle(run, "injections", "model")
    there = run_in(run)
    with storage.create_hdf5(there.events("background"), there.made_events):
        pass
    cli.main([word.format(run=run) for word in CHECK])
    assert capsys.readouterr().out == f"{run}: no mistakes found\n"


@pytest.mark.s3
@pytest.mark.parametrize(
    "case",
    [
        ({}, "s3://no-such-bucket/run", "has no bucket no-such-bucket: make it, or mend the s3:// path"),
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "{bucket}",
            r"refuses the credentials \(SignatureDoesNotMatch.*: mend AWS_ACCESS_KEY_ID",
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_one_line(
    case: tuple[dict[str, str], str, str], run: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import fsspec

    variables, place, line = case

    os.environ.update(variables)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for name in ("TRAIN_DATA", "TEST_DATA", "TRAIN_RUN", "RESULTS"):
        env(name, f"{place.format(bucket=bucket)}/{name.lower()}")(run)
    (found,) = told(capsys, "run", str(run), "--check")
    assert re.search(line, found), found


def test_gpus_that_are_not_there() -> None:
    check_gpus("0,1", 2)
    check_gpus("GPU-5d2c,MIG-2/1/0", 1)
    check_gpus("7", 0)  # where there is none, the CPU computes
    with pytest.raises(ConfigurationError, match=r"--gpus 1,2,7: this machine has no GPU 2, 7, it has 0, 1"):
        check_gpus("1,2,7", 2)


def test_a_key_that_is_wrong_hides_no_other(run: Path) -> None:
    """Whatever single key is wrong, the rest is looked at without a crash."""
    load_environment(str(run))
    text = (run / "sandbox.cfg").read_text()
    keys = re.findall(r"^(\w+) = ", text, flags=re.MULTILINE)
    assert len(keys) > 30
    for key in keys:
        (run / "sandbox.cfg").write_text(re.sub(rf"^{key} = ", f"{key}{key} = ", text, flags=re.MULTILINE))
        made, wrong = read_config(str(run / "sandbox.cfg"))
        assert wrong, key
        assert isinstance(made, Config)


def test_mistakes_survive_a_journey_between_processes() -> None:
    import pickle

    error = MistakesError(["one", "two"])
    assert (
        pickle.loads(pickle.dumps(error)).told == error.told == "error: 2 mistakes, and nothing was run:\n  one\n  two"
    )
    assert MistakesError(["one"]).told == "error: one"
    assert str(error) == "one; two"
