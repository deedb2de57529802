import itertools

import pytest

from aframe.errors import ConfigurationError
from aframe.strain.observing_runs import RUNS, check_open_data, observing_run
from aframe.strain.segments import Segment
from aframe.strain.times import gps_of

BEGINNINGS = {
    "O1": "2015-09-12T00:00:00",
    "O2": "2016-11-30T16:00:00",
    "O3a": "2019-04-01T15:00:00",
    "O3b": "2019-11-01T15:00:00",
    "O3GK": "2020-04-07T08:00:00",
    "O4a": "2023-05-24T15:00:00",
    "O4b": "2024-04-10T15:00:00",
}
"""As gwosc.org/data has them, UTC."""


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_runs_begin_when_they_began(run):
    begun = min(span.start for span in run.spans.values())
    assert gps_of(BEGINNINGS[run.name]) == begun
    assert observing_run(run.name.upper()) is run
    assert check_open_data([next(iter(run.spans)), list(run.spans)[1]], begun, begun + 1000.0) == [run.name]


def test_runs_follow_each_other_and_virgo_joined_the_second_one_late():
    ends = [(min(s.start for s in run.spans.values()), max(s.stop for s in run.spans.values())) for run in RUNS]
    assert ends == sorted(ends)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends))
    assert observing_run("O2").span(["H1", "V1"]) == Segment(gps_of("2017-08-01"), 1187733618.0)
    assert observing_run("O1").span(["H1", "V1"]) is None


@pytest.mark.parametrize(
    ("ifos", "start", "stop", "told"),
    [
        (
            ["H1", "V1"],
            1126051217.0,
            1126151217.0,
            r"no open data of H1, V1 .* in O2 from 1185580818 to 1187733618, O3a",
        ),
        (["H1", "L1"], 1240000000.0, 1254000000.0, r"no open data of H1, L1 from 1240000000 to 1254000000 \(GPS s\)"),
        (["H1", "LL1"], 1240000000.0, 1240100000.0, r"there are open data of .*, not of LL1 \(did you mean 'L1'\?\)"),
        (["H1", "K1"], 1240000000.0, 1240100000.0, "not in one run"),
    ],
)
def test_times_without_open_data_are_refused_with_a_list_of_those_that_have(ifos, start, stop, told):
    with pytest.raises(ConfigurationError, match=told):
        check_open_data(ifos, start, stop)
    assert check_open_data(["H1", "L1"], 1250000000.0, 1260000000.0) == ["O3a", "O3b"]


def test_an_unknown_run_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"--observing-run O3c: no such run \(did you mean 'O3\w'"):
        observing_run("O3c")
