from pathlib import Path

import numpy as np
import pytest

from aframe.report.gather import gather
from aframe.report.inputs import PlainBankResults
from aframe.report.limit import found_html, printed, sentence, volume_html
from aframe.sensitivity.limit import LimitTable


@pytest.fixture(scope="module")
def results(run_directory: Path) -> PlainBankResults:
    plain_bank = gather(str(run_directory / "results"), None).plain_bank
    assert plain_bank is not None
    return plain_bank


def limit(network: bool = True) -> LimitTable:
    columns = {
        "far_per_year": np.array([12.0, 120.0]), "snr_threshold": np.array([9.1234, 8.5]),
        "share_louder": np.array([0.47, 0.55]), "found_bank": np.array([0.4812, 0.56]),
        "volume_bank_gpc3": np.array([[2.0], [0.0]]), "volume_bank_error": np.array([[0.1], [0.0]]),
    }  # fmt: skip
    if network:
        columns |= {
            "found_network": np.array([0.52, 0.0]), "found_ratio": np.array([1.08, 0.0]),
            "found_ratio_error": np.array([0.012, np.nan]), "volume_network_gpc3": np.array([[2.2], [1.0]]),
            "volume_network_error": np.array([[0.1], [0.1]]), "volume_ratio": np.array([[1.1], [np.inf]]),
            "volume_ratio_error": np.array([[0.02], [np.nan]]),
        }  # fmt: skip
    return LimitTable(columns, attributes={"populations": ["35-35"], "num_templates": 512, "num_accepted": 3000})


def test_a_sentence_says_what_the_network_finds_beside_the_bank() -> None:
    assert sentence(limit()) == (
        "The network finds 1.08 ± 0.01 times what a plain bank of 512 matched filters finds, at a false alarm rate of "
        "1 per 30.4 days. 0.47 of all injections are louder than the bank's threshold, a network SNR of 9.12."
    )


def test_a_run_without_scores_has_the_figures_of_the_bank() -> None:
    assert sentence(limit(network=False)).startswith(
        "A plain bank of 512 matched filters finds 0.48 of all injections, at a false alarm rate of 1 per 30.4 days; "
        "the run's network has no scores yet. 0.47 of all injections"
    )
    assert "network" not in printed(limit(network=False)).lower()


def test_ratios_without_numbers_are_no_numbers_in_print() -> None:
    found, empty, volume, nothing = (line for line in printed(limit()).splitlines() if "per" in line)
    assert found.split()[-3:] == ["1.08", "±", "0.01"]
    assert empty.split()[-1] == "0"
    assert volume.split()[-3:] == ["1.10", "±", "0.02"]
    assert nothing.split()[-1] == "–"


def test_tables_of_the_page_have_a_row_for_each_rate_and_population(results: PlainBankResults) -> None:
    assert found_html(results).count("<tr>") == 1 + 3
    assert volume_html(results).count("<tr>") == 1 + 4 * 3
    assert "The network finds " in found_html(results)


def test_results_beside_another_search_are_left_out(run_directory: Path, tmp_path: Path, results) -> None:
    (tmp_path / "plots").symlink_to(run_directory / "results" / "plots")
    (tmp_path / "limit").mkdir()
    for path in (run_directory / "results" / "limit").iterdir():
        (tmp_path / "limit" / path.name).symlink_to(path)
    assert gather(str(tmp_path), None).plain_bank is not None
    (tmp_path / "limit" / "limit.hdf5").unlink()
    results.table.write(str(tmp_path / "limit" / "limit.hdf5"), {"search.seed": 8})
    assert gather(str(tmp_path), None).plain_bank is None
