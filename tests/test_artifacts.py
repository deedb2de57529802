from pathlib import Path

from terminal import write_run

from aframe import config
from aframe.artifacts import Artifacts
from aframe.config import Directories


def test_a_changed_prior_file_is_noticed(tmp_path: Path) -> None:
    """Its name in the ``.cfg`` stays the same, what it says does not."""
    directory = write_run(tmp_path / "run", "waveforms.prior=my.prior")
    directories = _directories(tmp_path)
    run = Artifacts(config.load(str(directory / "sandbox.cfg")), directories)
    (directory / "my.prior").write_text("mass_1 = Uniform(5, 100)\n")
    before = run.made_signals()
    (directory / "my.prior").write_text("mass_1 = Uniform(5, 50)\n")
    assert before != run.made_signals()
    assert before["waveforms.prior"] == run.made_signals()["waveforms.prior"] == "my.prior"


def _directories(path: Path) -> Directories:
    return Directories(**dict.fromkeys(("train_data", "test_data", "train_run", "condor", "results"), str(path)))
