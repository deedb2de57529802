from pathlib import Path

import numpy as np
import pytest

from aframe.report import draws as module
from aframe.report.draws import draw_histograms
from aframe.tables import InjectionTable, RejectedTable


@pytest.fixture
def paths(run_directory: Path) -> tuple[str, str]:
    return tuple(str(run_directory / "test" / name) for name in ("waveforms.hdf5", "rejected-parameters.hdf5"))


def test_every_draw_is_counted_once(paths: tuple[str, str]) -> None:
    histograms = draw_histograms(*paths)
    accepted, rejected = InjectionTable.read(paths[0]), RejectedTable.read(paths[1])
    assert histograms.masses.sum() == histograms.redshifts[0].sum() == 40_000
    assert histograms.redshifts[1].sum() == histograms.snrs[1].sum() == len(accepted)
    assert histograms.snrs[0].sum() == len(accepted) + np.isfinite(rejected["snr"]).sum()
    assert not np.triu(histograms.masses, 1).any()  # the heavier mass is the first
    redshift = np.concatenate([accepted["redshift"], rejected["redshift"]])
    np.testing.assert_array_equal(np.histogram(redshift, histograms.redshift_edges)[0], histograms.redshifts[0])
    source = accepted["mass_1"] / (1 + accepted["redshift"])
    assert set(histograms.accepted_masses[0]) <= set(source)


def test_the_size_of_pieces_changes_nothing(paths: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_histograms(*paths)
    monkeypatch.setattr(module, "CHUNK_ROWS", 999)
    pieces = draw_histograms(*paths)
    for name in ("mass_edges", "masses", "redshift_edges", "redshifts", "snr_edges", "snrs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_no_draws_are_no_error(paths: tuple[str, str], tmp_path: Path) -> None:
    empty = [str(tmp_path / name) for name in ("waveforms.hdf5", "rejected-parameters.hdf5")]
    InjectionTable.read(paths[0], rows=slice(0)).write(empty[0])
    RejectedTable.read(paths[1], rows=slice(0)).write(empty[1])
    assert draw_histograms(*empty).masses.sum() == 0
