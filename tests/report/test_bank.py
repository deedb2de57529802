import dataclasses
from pathlib import Path

import numpy as np

from aframe.report.bank import bank_html, ended, mass_rows, masses, matches
from aframe.report.gather import gather
from aframe.report.html import Figures


def test_the_match_of_the_bank_is_in_words_and_drawn_against_chirp_mass(run_directory: Path) -> None:
    bank = gather(str(run_directory / "results"), None, str(run_directory / "train")).bank
    assert bank is not None
    plots: Figures = {}
    text = bank_html(bank, plots)
    assert len(plots) == 2
    assert f"a mean match of {bank.mean_match:.3f} with the bank; 10 % of them are below" in text
    assert "3 templates. 500 signals" in text
    signals, *levels = matches(bank).marks
    np.testing.assert_array_equal(signals.x, bank.signal_chirp_mass)
    assert [float(level.y[0]) for level in levels] == [bank.mean_match, bank.quantile_10, bank.quantile_01]
    np.testing.assert_array_equal(masses(bank).marks[0].x, bank.parameters["mass_1"])


def test_the_match_is_told_by_chirp_mass(run_directory: Path) -> None:
    bank = gather(str(run_directory / "results"), None, str(run_directory / "train")).bank
    assert bank is not None
    light, heavy = np.full(100, 1.2), np.full(300, 50.0)
    bank = dataclasses.replace(
        bank, signal_chirp_mass=np.append(light, heavy), match=np.append(np.linspace(0.9, 1, 100), np.full(300, 0.97))
    )
    assert mass_rows(bank) == [
        ("below 1.7", "0", "100", "0.950", "0.910", "0.901"),
        ("above 30", "1", "300", "0.970", "0.970", "0.970"),
    ]
    assert "below 1.7" in bank_html(bank, {})


def test_the_end_of_the_placement_is_told(run_directory: Path) -> None:
    bank = gather(str(run_directory / "results"), None, str(run_directory / "train")).bank
    assert bank is not None
    assert ended(bank) == ""
    assert "is complete, as 0.7 %" in ended(dataclasses.replace(bank, joining_share=0.007))
    assert "is full, and 15.0 % of the last draws still joined" in ended(dataclasses.replace(bank, joining_share=0.15))


def test_a_run_without_a_bank_has_none(run_directory: Path) -> None:
    assert gather(str(run_directory / "results"), None, None).bank is None
