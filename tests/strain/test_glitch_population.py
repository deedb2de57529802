"""Distributions of glitches, and mistakes in tables of them."""

from importlib import resources

import numpy as np
import pytest
from scipy import stats

from aframe.errors import DataError, StorageError
from aframe.strain.glitch_models import MODELS
from aframe.strain.glitch_population import HIGHEST_SNR, LOWEST_SNR, read_population

LABELS = {"blip": "Blip", "low_frequency_blip": "Blip_Low_Frequency", "tomte": "Tomte", "koi_fish": "Koi_Fish"}


@pytest.fixture(scope="module")
def population():
    return read_population("o3")


@pytest.fixture
def shipped_text():
    return (resources.files("aframe.strain") / "glitches_o3.csv").read_text(encoding="utf-8")


def test_draws_are_those_of_real_glitches(population, data_directory):
    import json

    columns = json.loads((data_directory / "glitches" / "antiglitch_fits.json").read_text(encoding="utf-8"))
    fits = {name: np.array(list(values.values())) for name, values in columns.items()}
    for each in population.distributions:
        if each.glitch_class not in LABELS:
            continue
        own = (fits["ifo"] == each.ifo) & (fits["ml_label"] == LABELS[each.glitch_class]) & (fits["snr"] > LOWEST_SNR)
        drawn = each.draw(5000, np.random.default_rng(0))
        for name, column in (("frequency", "f0"), ("gamma", "gbw"), ("snr", "snr")):
            assert stats.ks_2samp(drawn[name], fits[column][own]).statistic < 0.16
        ours = stats.spearmanr(drawn["gamma"], drawn["snr"]).statistic
        assert ours == pytest.approx(stats.spearmanr(fits["gbw"][own], fits["snr"][own]).statistic, abs=0.05)


def test_draws_stay_in_their_ranges_with_heavy_tails(population):
    drawn = population.draw("L1", 20000, np.random.default_rng(1))
    assert drawn["snr"].min() >= LOWEST_SNR
    assert drawn["snr"].max() <= HIGHEST_SNR
    assert (drawn["snr"] > 100).mean() > 0.02
    for name, model in MODELS.items():
        rows = drawn.rows(drawn["glitch_class"] == name)
        assert model.frequency.lowest <= rows["frequency"].min() <= rows["frequency"].max() <= model.frequency.highest
        width = rows[model.width_name]
        assert model.width.lowest <= width.min() <= width.max() <= model.width.highest
    rates = {each.glitch_class: each.rate_per_hour for each in population.of("L1")}
    share = (drawn["glitch_class"] == "tomte").mean()
    assert share == pytest.approx(rates["tomte"] / sum(rates.values()), abs=0.02)


def test_glitches_of_o3_fill_little_time(population):
    assert 0 < population.filled_share("H1") < population.filled_share("L1") < 0.1


def test_other_detectors_and_classes_are_named(population):
    with pytest.raises(DataError, match="rows of H1, L1, V1, not of K1: give a table with rows of K1"):
        population.of("K1")
    with pytest.raises(DataError, match="V1 has no glitches of low_frequency_blip"):
        population.draw("V1", 3, np.random.default_rng(0), classes=("low_frequency_blip",))


def test_an_own_table(shipped_text, tmp_path):
    path = tmp_path / "glitches.csv"
    path.write_text(shipped_text.replace("tomte,L1,13,", "tomte,L1,26,"), encoding="utf-8")
    assert {each.rate_per_hour for each in read_population(str(path)).of("L1") if each.glitch_class == "tomte"} == {26}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("snr_power", "power", r"lacks the column snr_power: begin with a copy of glitches_o3\.csv"),
        ("tomte,L1", "thunder,L1", "row 9: the class 'thunder' is none of blip, .*: mend it"),
        ("tomte,L1,13", "tomte,L1,many", "row 9: rate_per_hour = 'many' is no number: mend it"),
        ("tomte,L1,13", "tomte,L1,-1", "row 9: scales and powers must be positive, the rate not negative"),
        ("0.802,-0.236,-0.395", "0.9,0.9,-0.9", "row 9: no three quantities have these correlations"),
    ],
)
def test_mistakes_in_tables_are_one_line(shipped_text, tmp_path, old, new, message):
    path = tmp_path / "glitches.csv"
    assert old in shipped_text
    path.write_text(shipped_text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        read_population(str(path))
    assert "\n" not in str(error.value)


def test_empty_and_missing_tables(shipped_text, tmp_path):
    path = tmp_path / "glitches.csv"
    path.write_text(next(line for line in shipped_text.splitlines() if not line.startswith("#")) + "\n")
    with pytest.raises(DataError, match="has no rows"):
        read_population(str(path))
    with pytest.raises(StorageError, match="other"):
        read_population(str(tmp_path / "other.csv"))
