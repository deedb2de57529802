import numpy as np

from aframe.errors import DataError
from aframe.events.cluster import Clustering
from aframe.online.issue import Classes, Issuer, Moment, Recipe
from aframe.online.live_event import LiveEvent
from aframe.online.ranking import Ranking
from aframe.online.tracking import Sighting
from aframe.online.views import View
from aframe.preprocessing import Preprocessing, Whitening

TIME = 1_400_000_000.0


def issuer(before: list[LiveEvent], classes: Classes | None = None) -> Issuer:
    preprocessing = Preprocessing(
        ("H1", "L1"), 1.0, 4.0, (0.25, 0.75), Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None)
    )
    recipe = Recipe(
        preprocessing, Clustering(4.0, 0.25, 8.0, 0.5), Ranking(None, None, "", 12.0), lambda *_: View(), classes, {}
    )
    return Issuer(recipe, before)


def test_the_edge_of_a_signal_that_was_issued_before_a_restart_does_not_revise_it():
    moment, signal = Moment(TIME + 2, 0.0, 0.0), Sighting(TIME, TIME, 9.0, TIME - 0.5, is_final=False)
    event = issuer([]).event(signal, [], moment)
    assert event is not None
    again = issuer([event])
    for is_final in (False, True):
        assert again.event(Sighting(TIME + 1, TIME + 1, 5.0, TIME + 0.5, is_final), [], moment) is None
    moved = again.event(Sighting(TIME, TIME + 0.1, 9.0, TIME - 0.5, is_final=True), [], moment)
    assert moved is not None
    assert (moved.identifier, moved.revision) == (event.identifier, 1)
    assert np.isclose(moved.time, TIME + 0.1)


def test_an_event_whose_classes_cannot_be_told_goes_out_without_them(caplog):
    def classes(event: LiveEvent) -> dict[str, float]:
        raise DataError(f"{event.name} has no chirp mass")

    event = issuer([], classes).event(Sighting(TIME, TIME, 9.0, TIME - 0.5, False), [], Moment(TIME + 2, 0.0, 0.0))
    assert event is not None
    assert event.p_astro == {}
    assert "the classes of" in caplog.text
    assert "has no chirp mass" in caplog.text
