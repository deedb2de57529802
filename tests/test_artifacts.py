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


def test_a_changed_module_is_noticed(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", "waveforms.prior=my_own_populations.heavy")
    run = Artifacts(config.load(str(directory / "sandbox.cfg")), _directories(tmp_path))
    (directory / "my_own_populations.py").write_text("heavy = 50\n")
    before = run.made_signals()
    (directory / "my_own_populations.py").write_text("heavy = 20\n")
    assert before != run.made_signals()
    shipped = Artifacts(config.load(str(write_run(tmp_path / "demo") / "sandbox.cfg")), _directories(tmp_path))
    assert not [name for name in shipped.made_signals() if "SHA" in name]


def test_events_depend_on_what_scores_and_not_on_which_server_does(tmp_path: Path) -> None:
    def made(*changes: str) -> dict[str, object]:
        directory = write_run(tmp_path / "-".join(["run", *changes]).replace("/", "_"))
        path, keys = directory / "sandbox.cfg", "".join(f"{change}\n" for change in changes)
        path.write_text(path.read_text().replace("[luigi_inference]\n", f"[luigi_inference]\n{keys}"))
        return Artifacts(config.load(str(path)), _directories(tmp_path)).made_units

    torch, triton = made(), made("engine = triton")
    assert torch["inference.engine"] != triton["inference.engine"]
    assert triton == made("engine = triton", "triton_address = gpu1:8001", "triton_in_flight = 3", "triton_retries = 1")
    assert "export.export_precision" in triton
    assert "export.export_precision" not in torch


def _directories(path: Path) -> Directories:
    return Directories(**dict.fromkeys(("train_data", "test_data", "train_run", "condor", "results"), str(path)))
