import copy
import pickle
import re
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import pyplot as plt

from aframe.errors import ConfigurationError, DataError, UnknownNameError
from aframe.events.significance import Background
from aframe.notebook import Search, SearchBackground


def test_mistakes_of_use_name_the_valid_values(search: Search) -> None:
    volumes = search.sensitive_volume()
    with pytest.raises(DataError, match="35-35, 35-20"):
        volumes.plot(plt.figure().add_subplot())
    with pytest.raises(DataError, match="luminosity_distance"):
        volumes.plot_efficiency("redshift")
    with pytest.raises(DataError, match="is not between"):
        volumes.at(1e-9)
    with pytest.raises(ConfigurationError, match="nowhere"):
        search.sensitive_volume("nowhere.population")
    with pytest.raises(DataError, match=r"'far_per_yer' .did you mean 'far_per_year'.*; there are .*statistic"):
        search.candidates["far_per_yer"]
    with pytest.raises(DataError, match="no column 'mass'"):
        search.injections["mass"]


NAN = float("nan")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda b: b.far_per_year(NAN), r"statistic is not a number \(NaN\): give a number"),
        (lambda b: b.far_per_year([3.0, NAN]), r"\(NaN\) in 1 of 2 places"),
        (lambda b: b.far_per_year("5"), "statistic is '5', which is no number"),
        (lambda b: b.far_per_year([[1.0], [1.0, 2.0]]), r"is \[\[1.0\], \[1.0, 2.0\]\], which is no number"),
        (lambda b: b.far_per_year(None), "is None, which is no number"),
        (lambda b: b.is_upper_limit(NAN), "NaN"),
        (lambda b: b.far_interpolated_per_year(NAN), "NaN"),
        (lambda b: b.significance(NAN, 5.0), "statistic is not a number"),
        (lambda b: b.significance(3.0, -5), "livetime of -5 s is negative"),
        (lambda b: b.significance(3.0, NAN), "livetime is not a number"),
        (lambda b: b.threshold_at_far("12"), "rate is '12', which is no number"),
        (lambda b: b.threshold_at_far(NAN), "rate is not a number"),
    ],
)
def test_a_background_refuses_arguments_that_are_no_numbers(
    as_typed: Search, ask: Callable[[SearchBackground], object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        ask(as_typed.background)


def test_a_background_has_the_rates_of_its_events(as_typed: Search) -> None:
    background = as_typed.background
    core = Background(background.statistics, background.livetime)
    statistics = np.array([-np.inf, *background.statistics[::300], np.inf])
    for name in ("far_per_year", "is_upper_limit", "far_interpolated_per_year"):
        np.testing.assert_array_equal(getattr(background, name)(statistics), getattr(core, name)(statistics))
    assert float(background.far_per_year(-np.inf)) == pytest.approx(background.highest_far_per_year)
    quietest = background.threshold_at_far(background.highest_far_per_year)
    assert np.isfinite(quietest)
    assert quietest <= background.statistics[0]
    with pytest.raises(
        ConfigurationError, match=r"no threshold .* 1e\+12 per year: .* 3000 events, 3.641e\+04 per year"
    ):
        background.threshold_at_far([20.0, 1e12])
    with_event = np.isfinite(as_typed.injections["detection_statistic"])
    np.testing.assert_array_equal(as_typed.injections.found(1e12), with_event)


@pytest.mark.parametrize("rows", [0, slice(3), ["detection_time", "p_astro"]])
def test_tables_are_taken_by_columns(as_typed: Search, rows: object) -> None:
    candidates = as_typed.candidates
    assert "far_per_year" in candidates
    assert "mass_1" not in candidates
    assert 0 not in candidates
    assert tuple(candidates) == candidates.columns == tuple(candidates.to_astropy().colnames)
    with pytest.raises(DataError, match=r"is no column's name: give one, .* `\.to_astropy\(\)\[:3\]`$"):
        candidates[rows]  # type: ignore[index]


def test_the_error_of_a_missing_attribute_names_the_column(as_typed: Search) -> None:
    with pytest.raises(AttributeError, match=r'column is `search\.candidates\["far_per_year"\]`$'):
        as_typed.candidates.far_per_year  # type: ignore[attr-defined]  # noqa: B018 - it is asked for
    with pytest.raises(AttributeError, match=r"'to_pandas': `\.columns` .* `\.to_astropy\(\)` is a table"):
        as_typed.injections.to_pandas()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute '_repr_png_'$"):
        as_typed.candidates._repr_png_  # type: ignore[attr-defined]  # noqa: B018 - as IPython asks for it
    for again in (copy.copy(as_typed.injections), pickle.loads(pickle.dumps(as_typed.injections))):
        assert again.columns == as_typed.injections.columns


def test_populations_are_names_and_pairs_of_positive_masses(as_typed: Search) -> None:
    assert list(as_typed.sensitive_volume((20, 35))) == list(as_typed.sensitive_volume([35, 20])) == ["35-20"]
    assert list(as_typed.sensitive_volume(np.array([[35, 35], [35, 20]]))) == ["35-35", "35-20"]  # type: ignore[arg-type]
    for wrong in (35, [35], [("a", "b")], (40, 30, 20), [("35", 20)]):
        with pytest.raises(DataError, match=r'is no population: give .* \["35-20", \(40, 30\)\]$'):
            as_typed.sensitive_volume(wrong)  # type: ignore[arg-type]
    for mass in (-3, 0, NAN, np.inf):
        with pytest.raises(DataError, match=r"population \(30, .*\) must be positive"):
            as_typed.sensitive_volume([(30, mass)])


def test_unknown_populations_are_refused_with_the_known_ones(as_typed: Search) -> None:
    volumes = as_typed.sensitive_volume()
    for name, words in (("35-53", "'35-53' (did you mean '35-35'?)"), ((35, 35), "(35, 35)"), ([], "[]")):
        message = re.escape(f"there is no population {words}; there are 35-35, 35-20, 20-20, 20-10, alike")
        with pytest.raises(UnknownNameError, match=f"^{message}$"):
            volumes[name]  # type: ignore[index]
    with pytest.raises(UnknownNameError, match="'1-1'"):
        volumes.to_astropy("1-1")
    assert "1-1" not in volumes
    assert volumes.get("1-1") is None
    for rate, words in (("one", "'one', which is no number"), ([100, 200], r"\[100, 200\], which is no single number")):
        with pytest.raises(DataError, match=words):
            volumes.at(rate)  # type: ignore[arg-type]


def test_efficiency_takes_one_rate(as_typed: Search) -> None:
    one, same = as_typed.injections.efficiency(1000), as_typed.injections.efficiency([1000.0])
    assert one.far_per_year.tolist() == [1000.0]
    np.testing.assert_array_equal(one.share, same.share)
    with pytest.raises(DataError, match="'one', which is no number"):
        as_typed.injections.efficiency("one")  # type: ignore[arg-type]
