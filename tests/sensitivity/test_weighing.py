from pathlib import Path

import numpy as np
import pytest
from toy_search import toy_draws

from aframe.errors import DataError
from aframe.sensitivity.weighing import Draws, WeightSums, read_rejected, weigh
from aframe.sensitivity.weights import LogNormalTarget
from aframe.waveforms.priors import demo_bbh

TARGET = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 1.0))


def test_draws_must_add_up() -> None:
    draws = toy_draws(demo_bbh(), 0, 500)
    (rejected,) = draws.rejected
    with pytest.raises(DataError, match="not the 500 that num_injections counts"):
        weigh(Draws(draws.recovered, [rejected.rows(slice(1, None))], draws.source), [TARGET])


def test_the_mean_weight_is_the_share_of_the_target_that_the_source_covers() -> None:
    random = np.random.default_rng(0)
    wide, narrow = random.uniform(0.0, 2.0, 20000), random.uniform(0.0, 0.5, 20000)  # the target is uniform in 0 to 1
    for draws, width, share in ((wide, 2.0, 1.0), (narrow, 0.5, 0.5)):
        mean, error = WeightSums.of(np.where(draws < 1, width, 0.0)).coverage
        assert abs(mean - share) < 5 * error + 1e-12
        assert error < 0.01


def test_equal_draws_are_as_many_as_they_are() -> None:
    assert WeightSums.of(np.full(7, 0.3)).effective_number == pytest.approx(7)
    assert WeightSums.of(np.array([1.0, 2.0, 5.0])).effective_number == pytest.approx(64 / 30)
    assert WeightSums.of(np.zeros(3)).effective_number == 0


def test_pieces_sum_to_the_whole() -> None:
    draws = toy_draws(demo_bbh(), 1, 3000)
    (rejected,) = draws.rejected
    pieces = [rejected.rows(slice(start, start + 700)) for start in range(0, len(rejected), 700)]
    whole, parts = weigh(draws, [TARGET]), weigh(Draws(draws.recovered, pieces, draws.source), [TARGET])
    one, two = whole.targets["35-20"], parts.targets["35-20"]
    assert one.everything.total == pytest.approx(two.everything.total)
    for first, second in zip((*one.bins, *whole.as_drawn), (*two.bins, *parts.as_drawn), strict=True):
        np.testing.assert_allclose(first.total, second.total)
        np.testing.assert_allclose(first.squares, second.squares)
    assert 2500 < whole.as_drawn[0].total.sum() <= 3000  # far away are draws of which none is accepted


def test_without_injections_nothing_is_found() -> None:
    weighed = weigh(toy_draws(demo_bbh(), 1, 200, accept=np.inf), [TARGET])
    assert weighed.bins == ()
    assert weighed.targets["35-20"].everything.count == 200


def test_only_the_columns_that_count_are_read(tmp_path: Path) -> None:
    (rejected,) = toy_draws(demo_bbh(), 1, 200).rejected
    rejected.write(str(tmp_path / "rejected.hdf5"))
    (piece,) = read_rejected(str(tmp_path / "rejected.hdf5"), [TARGET])
    assert sorted(piece.parameters) == ["mass_1", "mass_2", "redshift"]
