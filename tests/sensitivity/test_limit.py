import csv
import dataclasses

import numpy as np
import pytest
from toy_search import toy_draws

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.sensitivity.limit import LimitTable, Searched, compare, rates_to_compare, ratio, to_csv, write_limit
from aframe.sensitivity.volume import volume_against_far
from aframe.sensitivity.weighing import weigh
from aframe.sensitivity.weights import mass_targets
from aframe.waveforms.priors import demo_bbh

RATES = np.array([12.0, 120.0, 1200.0])


@pytest.fixture(scope="module")
def bank() -> Searched:
    """A toy search whose statistic is half the squared SNR, nearly."""
    population = demo_bbh()
    draws = toy_draws(population, 3, 20_000)
    table, rng = draws.recovered, np.random.default_rng(4)
    table.parameters["injection_time"] = np.arange(len(table), dtype=np.float64)
    table.parameters["detection_statistic"] = (table["snr"] + 0.3 * rng.normal(size=len(table))) ** 2 / 2
    noise = 20 + rng.exponential(2.0, 50_000)
    weighed = weigh(draws, mass_targets([(35.0, 35.0), (20.0, 10.0)], 0.1, population.redshift_range))
    return Searched(Background(noise, SECONDS_PER_YEAR), table, weighed, 1e6)


def with_statistic(search: Searched, statistic: np.ndarray) -> Searched:
    draws = dataclasses.replace(search.draws, statistic=statistic)
    return dataclasses.replace(search, draws=draws)


def test_the_bank_alone_has_thresholds_shares_and_volumes(bank: Searched) -> None:
    table = compare(bank, None, RATES, 512)
    threshold = bank.background.threshold_at_far(RATES)
    np.testing.assert_allclose(table["snr_threshold"] ** 2 / 2, threshold)
    for row, snr in enumerate(table["snr_threshold"]):
        assert table["share_louder"][row] == (bank.injections["snr"] >= snr).mean()
        assert table["found_bank"][row] == (bank.draws.statistic >= threshold[row]).mean()
    np.testing.assert_allclose(table["found_bank"], table["share_louder"], atol=0.02)
    curves = volume_against_far(bank.draws, bank.background, RATES, bank.livetime)
    np.testing.assert_array_equal(table["volume_bank_gpc3"][:, 1], curves["20-10"].volume_gpc3)
    np.testing.assert_array_equal(table["volume_bank_error"][:, 0], curves["35-35"].standard_error)
    assert not table.has_network
    assert table.attributes == {"populations": ["35-35", "20-10"], "num_templates": 512,
                                "num_accepted": len(bank.injections)}  # fmt: skip


def test_a_search_finds_as_much_as_itself_without_any_error(bank: Searched) -> None:
    table = compare(bank, bank, RATES, 512)
    for name in ("found_ratio", "volume_ratio"):
        np.testing.assert_allclose(table[name], 1, rtol=1e-12)
        np.testing.assert_allclose(table[f"{name}_error"], 0, atol=1e-12)


def test_a_worse_search_has_the_ratio_of_what_it_finds(bank: Searched) -> None:
    worse = with_statistic(bank, 0.9 * bank.draws.statistic)
    table = compare(bank, worse, RATES, 512)
    assert (table["found_ratio"] < 1).all()
    np.testing.assert_allclose(table["found_ratio"], table["found_network"] / table["found_bank"])
    np.testing.assert_allclose(table["volume_ratio"], table["volume_network_gpc3"] / table["volume_bank_gpc3"])


def test_the_error_of_a_ratio_is_its_scatter_between_sets_of_injections() -> None:
    """Searches that agree on most injections have a smaller error than independent ones."""
    rng, values, errors = np.random.default_rng(0), [], []
    for _ in range(400):
        weight, snr = rng.exponential(size=1000), rng.normal(8, 2, 1000)
        found, other = (snr + 0.5 * rng.normal(size=(1, 1000)) > threshold for threshold in (8.0, 8.3))
        value, error = ratio(weight, found, other)
        values.append(value[0])
        errors.append(error[0])
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12)
    independent = np.mean(values) * np.sqrt(2 * 2 / 450)
    assert np.mean(errors) < 0.7 * independent


def test_a_search_that_finds_nothing_has_no_error(bank: Searched) -> None:
    blind = with_statistic(bank, np.full(len(bank.injections), -np.inf))
    table = compare(bank, blind, RATES, 512)
    assert (table["found_ratio"] == 0).all()
    assert np.isnan(table["found_ratio_error"]).all()


def test_other_injections_are_refused(bank: Searched) -> None:
    other = dataclasses.replace(bank, injections=bank.injections.rows(slice(0, 10)))
    with pytest.raises(DataError, match="the 10 injections of the network's search are not the"):
        compare(bank, other, RATES, 512)


def test_rates_are_monthly_ones_and_the_runs_own() -> None:
    assert rates_to_compare(12.17, [12.17, 365.25]).tolist() == [12.17, 120.0, 365.25, 1200.0]
    assert rates_to_compare(0.01, [1.0, 12.0]).tolist() == [1.0, 12.0, 120.0, 1200.0]
    assert rates_to_compare(1e4, [1e4]).tolist() == [1e4]


@pytest.mark.parametrize(("rates", "row"), [((1.0, 12.0, 120.0), 1), ((12.17, 120.0), 0), ((1e4,), 0)])
def test_words_are_about_one_false_alarm_a_month(bank: Searched, rates: tuple[float, ...], row: int) -> None:
    assert compare(bank, None, np.array(rates), 1).monthly == row


def test_a_table_comes_back(bank: Searched, tmp_path) -> None:
    table = compare(bank, bank, RATES, 512)
    write_limit(table, str(tmp_path), {"search.seed": 1})
    again = LimitTable.read(str(tmp_path / "limit.hdf5"))
    assert again.has_network
    assert list(again.attributes["populations"]) == ["35-35", "20-10"]
    for name, column in table.parameters.items():
        np.testing.assert_array_equal(again[name], column)
    first, *_ = csv.DictReader(to_csv(table).splitlines())
    assert float(first["far_per_year"]) == 12
    assert float(first["volume_bank_gpc3_20-10"]) == pytest.approx(table["volume_bank_gpc3"][0, 1], rel=1e-5)
