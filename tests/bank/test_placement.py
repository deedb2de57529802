import itertools
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from aframe.bank import interruption, placement
from aframe.bank.matching import CompressedMatcher, SeriesMatcher
from aframe.bank.placement import Placement, even, matches, place
from aframe.errors import DataError
from aframe.waveforms.priors import demo_bbh, draw


@pytest.fixture
def matcher(maker):
    return CompressedMatcher(maker, 1)


def drawn(number, batch):
    """Binaries of the demo's population, always the same in a batch."""
    return draw(demo_bbh(), number, np.random.default_rng([3, batch]))


@pytest.mark.parametrize("kind", [CompressedMatcher, SeriesMatcher])
def test_a_bank_covers_its_population_and_stays_thin(maker, kind):
    """Templates match each other less, and most draws more, than the minimum."""
    matcher = kind(maker, 1)
    placed, bank = place(matcher, drawn, 60, 0.85, workers=1)
    assert placed.size == len(placed.columns["mass_1"]) == bank.size <= 60
    assert (np.diff(placed.columns["chirp_mass"]) >= 0).all()
    spectra, total = matcher.templates(placed.columns), placed.columns["mass_1"] + placed.columns["mass_2"]
    others = [
        matcher.best(spectra[a], total[a], spectra[b, None], None) for a, b in itertools.pairwise(range(len(total)))
    ]
    assert max(others) < 0.85 + 0.01
    some = drawn(40, 99)
    assert (matches(bank, some, matcher.templates(some), 1) >= 0.85).mean() > 0.8


def test_both_ways_of_comparison_place_nearly_the_same(maker):
    """A draw whose match is next to the minimum may join one bank and not the other."""
    sizes = [place(kind(maker, 1), drawn, 40, 0.8, workers=1)[0].drawn for kind in (CompressedMatcher, SeriesMatcher)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_a_full_bank_ends_the_placement(matcher):
    heard = []
    placed, bank = place(matcher, drawn, 5, 0.95, progress=lambda *numbers: heard.append(numbers), workers=1)
    assert placed.size == bank.size == len(placed.columns["chirp_mass"]) == 5
    assert not placed.is_complete
    assert heard == [(5, 5)]


def test_few_joining_draws_end_the_placement(matcher):
    """A match of 0.3 is easy: the bank is complete after few templates."""
    placed, _ = place(matcher, drawn, 512, 0.3, workers=1)
    assert placed.size < 20
    assert placed.is_complete
    assert placed.joining_share <= 0.01
    assert placed.drawn >= 300


def test_a_large_bank_is_complete_only_after_more_draws():
    """What 300 draws say by chance does not end a placement of 4000 templates."""
    large = Placement(joined=list(range(4000)), drawn=4300)
    assert large.recent == 1000
    assert large.joining_share == 0.7
    assert not large.is_complete
    assert Placement(joined=list(range(4000)), drawn=4990).is_complete
    small = Placement(joined=[0, 10, 297], drawn=299)
    assert not small.is_complete
    small.count(False)
    assert small.is_complete


def test_the_placement_depends_on_the_draws_alone(maker, monkeypatch):
    """Not on the number of processes, nor on the size of what each takes."""
    one, _ = place(CompressedMatcher(maker, 1), drawn, 40, 0.9, workers=1)
    monkeypatch.setattr(placement, "COMPARED_AT_ONCE", 16)
    two, _ = place(CompressedMatcher(maker, 2), drawn, 40, 0.9, workers=2)
    assert one.joined == two.joined
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, two.columns[name])


def test_batches_do_not_change_who_joins(matcher, monkeypatch):
    """Draws that are compared together are compared with each other too, in their order."""
    columns = drawn(120, 0)
    monkeypatch.setattr(placement, "DRAWS_AT_ONCE", 120)
    together, _ = place(matcher, lambda *_: columns, 30, 0.9, workers=1)
    monkeypatch.setattr(placement, "DRAWS_AT_ONCE", 1)
    singly, _ = place(
        matcher, lambda _, batch: {name: values[batch, None] for name, values in columns.items()}, 30, 0.9, workers=1
    )
    assert together.joined == singly.joined


def test_draws_far_from_a_template_are_not_compared(maker, monkeypatch):
    """What the reach leaves out has no match: without it the same draws join."""
    near, _ = place(CompressedMatcher(maker, 1), drawn, 60, 0.9, workers=1)
    monkeypatch.setattr(placement, "REACH", np.inf)
    all_of_them, _ = place(CompressedMatcher(maker, 1), drawn, 60, 0.9, workers=1)
    assert near.joined == all_of_them.joined


def test_what_lal_refuses_is_left_out(matcher):
    def bad(number, batch):
        columns = drawn(number, batch)
        columns["mass_2"][::2] = -3.0
        return columns

    placed, _ = place(matcher, bad, 5, 0.95, workers=1)
    assert (placed.columns["mass_2"] > 0).all()


def test_a_population_without_templates_is_refused(matcher):
    with pytest.raises(DataError, match="none of 512 draws has a template: check the prior"):
        place(matcher, lambda number, batch: drawn(number, batch) | {"mass_2": np.full(number, -3.0)}, 5, 0.95)


def killed(matcher, path):
    """Place templates, and be killed with SIGKILL once the third batch is saved."""

    torch.set_num_threads(1)  # a fork has no other threads, and would wait for them

    def save(state):
        interruption.save(state, path, {"seed": 1})
        if state.batches == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    place(matcher, drawn, 60, 0.9, save=save, workers=1)


def test_a_killed_placement_goes_on(matcher, tmp_path, monkeypatch):
    """It ends as without the interruption, and does not repeat what was done."""
    monkeypatch.setattr(placement, "DRAWS_AT_ONCE", 32)
    monkeypatch.setattr(placement, "SAVE_INTERVAL", 0.0)
    path = str(tmp_path / "state.hdf5")
    whole, _ = place(matcher, drawn, 60, 0.9, workers=1)
    process = multiprocessing.get_context("fork").Process(target=killed, args=(matcher, path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    begun = interruption.resume(path, {"seed": 1})
    assert begun.batches == 3
    seen = []
    again, bank = place(
        matcher, lambda number, batch: seen.append(batch) or drawn(number, batch), 60, 0.9, begun, workers=1
    )
    assert min(seen) == 3
    assert again.joined == whole.joined
    assert again.drawn == whole.drawn
    assert bank.size == 60
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(column, again.columns[name])


def test_only_a_placement_of_the_same_parameters_goes_on(tmp_path):
    path = str(tmp_path / "state.hdf5")
    assert interruption.resume(path, {"seed": 1}) is None
    interruption.save(Placement({"chirp_mass": np.array([3.0, 2.0])}, [0, 4], 7, 2), path, {"seed": 1})
    assert interruption.resume(path, {"seed": 2}) is None
    begun = interruption.resume(path, {"seed": 1})
    assert (begun.joined, begun.drawn, begun.batches) == ([0, 4], 7, 2)
    np.testing.assert_array_equal(begun.columns["chirp_mass"], [3.0, 2.0])
    (tmp_path / "state.hdf5").write_bytes(b"no file")
    assert interruption.resume(path, {"seed": 1}) is None


def test_rare_chirp_masses_are_drawn_more_often():
    rng = np.random.default_rng(1)
    columns = {"chirp_mass": np.append(rng.uniform(30, 60, 9000), rng.uniform(5, 6, 100)), "place": np.arange(9100)}
    chosen = even(columns, 900, rng)
    assert len(np.unique(chosen["place"])) == 900
    np.testing.assert_array_equal(chosen["chirp_mass"], columns["chirp_mass"][chosen["place"]])
    light = (chosen["chirp_mass"] < 10).sum()
    assert 25 < light < 60  # 10 by their share
    assert len(even(columns, 10**5, rng)["place"]) == 9100
    assert len(even({"chirp_mass": np.full(7, 30.0)}, 5, rng)["chirp_mass"]) == 5
