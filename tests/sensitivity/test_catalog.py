import lal
import pytest

from aframe.constants import SECONDS_PER_DAY
from aframe.sensitivity.catalog import OBSERVING_DAYS, PAIRS, VOLUME_TIME_GPC3_YR, comparison_remarks, published_volumes


def test_published_volumes() -> None:
    assert PAIRS == ("35-35", "35-20", "20-20", "20-10")
    assert VOLUME_TIME_GPC3_YR == {
        "GstLAL": (4.1, 2.3, 1.34, 0.6),
        "PyCBC-BBH": (4.3, 2.5, 1.42, 0.65),
        "cWB": (2.6, 1.35, 0.56, 0.24),
        "MBTA": (3.3, 1.8, 1.1, 0.51),
    }
    assert pytest.approx(149.3747, abs=5e-5) == OBSERVING_DAYS  # as in earlier comparisons
    start, stop = 1256655642, 1256655642 + round(OBSERVING_DAYS * SECONDS_PER_DAY)
    assert tuple(lal.GPSToUTC(start)[:3]) == (2019, 11, 1)  # O3b begins
    assert tuple(lal.GPSToUTC(stop)[:2]) == (2020, 3)
    assert published_volumes("20-10")["cWB"] == pytest.approx(0.24 * 365 / OBSERVING_DAYS)
    assert published_volumes("35-35")["PyCBC-BBH"] == pytest.approx(10.507, abs=1e-3)
    assert published_volumes("10-10") == {}


@pytest.mark.parametrize(
    ("simulated", "days", "included", "excluded"),
    [
        (True, 149.0, ["not like for like", "simulated Gaussian noise"], ["days of data"]),
        (False, 30.0, ["not like for like", "30 days of data", "149.4 days"], ["simulated"]),
        (True, 2.0, ["not like for like", "simulated", "2 days of data"], []),
        (False, 150.0, ["not measured at a false alarm rate"], ["not like for like", "simulated"]),
    ],
)
def test_the_page_names_what_is_not_like_for_like(
    simulated: bool, days: float, included: list[str], excluded: list[str]
) -> None:
    text = " ".join(comparison_remarks(simulated, days * SECONDS_PER_DAY))
    assert all(words in text for words in included)
    assert not any(words in text for words in excluded)
