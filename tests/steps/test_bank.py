import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from aframe.bank.template_bank import TemplateBank
from aframe.errors import DataError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.settings.sections import Bank
from aframe.steps.bank import average_psds, make_bank
from aframe.steps.planning import background_files
from aframe.storage import check_parameters
from aframe.strain.files import open_background
from aframe.whitening import power_spectral_density, smooth_psd


@pytest.fixture
def small(prepared: Path, tmp_path: Path) -> Artifacts:
    """The small run, with a bank of its own."""
    config = load_config(str(prepared / "sandbox.cfg"))
    bank = Bank(size=12, minimum_match=0.9, template_length=2.0, after=0.25)
    (tmp_path / "train_data").mkdir()
    (tmp_path / "train_data" / "background").symlink_to(prepared / "train_data" / "background")
    names = ("train_data", "test_data", "train_run", "condor", "results")
    directories = Directories(**{name: str(tmp_path / name) for name in names})
    return Artifacts(dataclasses.replace(config, bank=bank), directories)


def test_a_bank_covers_the_population_and_says_how_well(small: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aframe.waveforms.source.PROBES", 64)
    monkeypatch.setattr("aframe.steps.bank.MATCHED_SIGNALS", 40)
    monkeypatch.setattr("aframe.bank.placement.DRAWS_AT_ONCE", 32)
    monkeypatch.setattr("aframe.bank.placement.SAVE_INTERVAL", 0.0)
    make_bank(small)
    assert [path.name for path in Path(small.bank).parent.glob("*.hdf5")] == ["bank.hdf5"]  # no state is left
    bank = TemplateBank.read(small.bank)
    check_parameters(small.bank, small.bank_parameters)
    assert bank.templates.shape == (12, 1024)
    assert (bank.sample_rate, bank.after) == (512, 0.25)
    assert (np.diff(bank.chirp_mass) >= 0).all()
    assert 0.2 < bank.quantile_01 < bank.quantile_10 < bank.mean_match < 1
    assert 30 < len(bank.match) == len(bank.signal_chirp_mass) <= 40
    assert (bank.signal_chirp_mass > 0).all()
    first, second = bank.parameters["mass_1"], bank.parameters["mass_2"]
    np.testing.assert_allclose(bank.chirp_mass, (first * second) ** 0.6 / (first + second) ** 0.2)
    assert max(abs(bank.parameters[name]).max() for name in ("chi_1", "chi_2")) < 1
    torch.testing.assert_close(bank.templates.abs().square().sum(-1), torch.full((12,), 2.0), atol=5e-3, rtol=0)
    np.testing.assert_allclose(bank.psds, smooth_psd(average_psds(small), 512.0), rtol=1e-12)
    content = Path(small.bank).read_bytes()
    make_bank(small)
    assert Path(small.bank).read_bytes() == content


def test_a_bank_goes_on_after_an_interruption(small: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes as without one, and no draw is compared again."""
    monkeypatch.setattr("aframe.waveforms.source.PROBES", 64)
    monkeypatch.setattr("aframe.steps.bank.MATCHED_SIGNALS", 40)
    monkeypatch.setattr("aframe.bank.placement.DRAWS_AT_ONCE", 8)
    make_bank(small)
    content, batches = Path(small.bank).read_bytes(), []
    monkeypatch.setattr("aframe.bank.placement.SAVE_INTERVAL", 0.0)

    def interrupt(done: float, total: float) -> None:
        batches.append(done)
        if len(batches) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_bank(small, interrupt)
    make_bank(small, interrupt)
    assert len(batches) > 1
    assert batches[0] < batches[1]
    assert Path(small.bank).read_bytes() == content


def test_a_bank_larger_than_the_memory_is_refused(small: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aframe.steps.bank.free_on_host", lambda: 10**5)
    with pytest.raises(DataError, match=r"size = 12 templates of .* 2 s at 512 Hz .* lower size"):
        make_bank(small)


def test_the_average_is_over_files(small: Artifacts) -> None:
    """The geometric mean lies between the PSDs, in each bin."""
    psds = []
    for path in background_files(small, "train"):
        with open_background(path) as file:
            strain = torch.from_numpy(np.stack([file.read(ifo) for ifo in ("H1", "L1")]))
        psds.append(power_spectral_density(strain, 512.0, small.config.search.fftlength))
    stacked = torch.stack(psds)
    torch.testing.assert_close(average_psds(small), stacked.prod(0).pow(1 / len(stacked)), rtol=1e-6, atol=0)
