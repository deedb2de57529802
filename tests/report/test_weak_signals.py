import dataclasses
from pathlib import Path

import numpy as np

from aframe.report.gather import gather
from aframe.report.weak_signals import weak_signals
from aframe.tables import RecoveredTable


def injections(snr: float) -> RecoveredTable:
    """Four light binaries, of which the search finds three, and a heavy one that it misses."""
    columns = {"mass_1": np.array([1.4, 1.4, 1.4, 1.4, 60.0]), "mass_2": np.array([1.4, 1.4, 1.4, 1.4, 50.0])}
    columns |= {"detection_statistic": np.array([5.0, 5.0, 5.0, 1.0, 1.0]), "snr": np.full(5, snr)}
    columns |= {name: np.zeros(5) for name in ("detection_time", "injection_time", "redshift")}
    return RecoveredTable({**columns, "shift": np.zeros((5, 2))}, attributes={"num_injections": 9, "ifos": []})


def test_each_range_of_chirp_mass_has_its_share() -> None:
    html = str(weak_signals(injections(9.5), {12.0: 2.0}, None))
    light, *between, heavy = html.split("<tr>")[-5:]
    assert "1 to 1.7" in light
    assert "0.750 (" in light
    assert all("–" in row for row in between)
    assert "above 30" in heavy
    assert "0.000 (" in heavy
    assert weak_signals(injections(20.0), {12.0: 2.0}, None) == ""


def test_the_plain_bank_stands_beside_it(run_directory: Path) -> None:
    bank = gather(str(run_directory / "results"), None).plain_bank
    assert bank is not None
    html = str(weak_signals(injections(9.5), {12.0: 2.0}, dataclasses.replace(bank, injections=injections(9.5))))
    assert "Plain bank, " in html
    light = html.split("<tr>")[-5]
    assert light.count(" to ") == 3  # the range, and an interval of each search
