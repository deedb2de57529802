"""Report of a year-long run with its figures for papers, from the outputs on disk, as in `aframe report`."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _clocks import peak_gigabytes
from _rows import at_most, sized, tell

from aframe.candidates.table import candidates, write_candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import write_closeups
from aframe.inference.q_transform import QTransform
from aframe.report.gather import gather
from aframe.report.page import build_report
from aframe.report.paper import write_figures
from aframe.sensitivity.volume import default_far_grid, efficiencies, volume_against_far, write_volumes
from aframe.sensitivity.weighing import Draws, weigh
from aframe.sensitivity.weights import mass_targets
from aframe.strain.files import background_path, write_background
from aframe.strain.segments import Segment, write_segments
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable
from aframe.types import Array
from aframe.waveforms.priors import demo_bbh, draw

TARGET, LARGEST_MB = at_most(30.0, of_full_amount=True), at_most(20.0, of_full_amount=True)
BACKGROUND, ZERO_LAG, ACCEPTED, REJECTED = sized(
    (4_000_000, 400_000, 500_000, 10_000_000), (400_000, 40_000, 50_000, 500_000)
)
LIVETIME, RATE, SEGMENTS = 3e6, 2048.0, 150
IFOS = ("H1", "L1")
CONFIGURATION = {"search.ifos": list(IFOS), "search.sample_rate": RATE, "search.fftlength": 1.0, "search.seed": 1}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        results, train, test = (str(Path(directory) / name) for name in ("results", "train", "test"))
        write_run(results, train, test)
        start = time.perf_counter()
        inputs = gather(results, train, train, test)
        names = write_figures(inputs, f"{results}/figures")
        page = build_report(inputs, [f"figures/{name}" for name in names])
        seconds = time.perf_counter() - start
    print(
        f"{BACKGROUND} background events, {ZERO_LAG} candidates, {ACCEPTED} of {ACCEPTED + REJECTED} draws injected: "
        f"peak memory with the making of the run {peak_gigabytes():.1f} GB"
    )
    tell("report_of_a_year", seconds, "s", TARGET)
    tell("report_of_a_year_page", len(page.encode()) / 1e6, "MB", LARGEST_MB)


def write_run(results: str, train: str, test: str) -> None:
    """Write the outputs of a search in which the detection statistic of a signal is its SNR.

    Args:
        results: Directory of results.
        train: Directory of the training.
        test: Directory of testing data.
    """
    rng = np.random.default_rng(0)
    print("writing a year-long run", file=sys.stderr)
    events = noise(BACKGROUND, SECONDS_PER_YEAR, rng)
    events.write(f"{results}/background.hdf5", CONFIGURATION)
    zero_lag = noise(ZERO_LAG, LIVETIME, rng)
    zero_lag.write(f"{results}/0lag.hdf5", CONFIGURATION)
    background = Background(events["detection_statistic"], events.livetime)
    write_candidates(candidates(zero_lag, background), results, CONFIGURATION)
    write_closeups(f"{results}/closeups.hdf5", ((rank, closeup(rng)) for rank in range(1, 11)), CONFIGURATION)
    recovered, rejected = campaign(rng)
    recovered.write(f"{results}/foreground.hdf5", CONFIGURATION)
    waveform_attributes = {"sample_rate": RATE, "duration": 8.0, "right_pad": 1.0, "ifos": list(IFOS)}
    attributes = waveform_attributes | {"num_injections": ACCEPTED + REJECTED, "num_waveforms": ACCEPTED}
    InjectionTable(recovered.parameters, attributes=attributes).write(f"{test}/waveforms.hdf5")
    rejected.write(f"{test}/rejected-parameters.hdf5")
    source = demo_bbh()
    pairs = [(35.0, 35.0), (35.0, 20.0), (20.0, 20.0), (20.0, 10.0)]
    draws = weigh(Draws(recovered, [rejected], source), mass_targets(pairs, 0.1, source.redshift_range))
    curves = volume_against_far(draws, background, default_far_grid(background), LIVETIME)
    efficiency = efficiencies(draws, background, np.array([1.0, 12.0, 365.25]))
    write_volumes(f"{results}/plots/sensitive_volume.h5", curves, efficiency, CONFIGURATION)
    starts = 1.24e9 + 4e4 * np.arange(SEGMENTS)
    for folder in (train, test):
        write_segments(f"{folder}/segments.txt", [Segment(start, start + 2e4) for start in starts], CONFIGURATION)
    strain = {ifo: rng.normal(scale=1e-23, size=int(512 * RATE)) for ifo in IFOS}
    write_background(background_path(test, 1.24e9, 512.0), strain, 1.24e9, RATE)
    (Path(results) / "times").mkdir()
    for number in range(1000):
        record = {"task": "ScoreSlides", "seconds": 300.0, "ended": "2026-01-01 00:00:00"}
        (Path(results) / "times" / f"ScoreSlides-{number}-of-1000.json").write_text(json.dumps(record))
    rows = [f"{epoch},{epoch},{0.5 / (1 + epoch)},{1 - 0.5 / (1 + epoch)}" for epoch in range(200)]
    Path(train, "metrics.csv").write_text("\n".join(["epoch,step,train_loss,valid_auroc", *rows]) + "\n")


def closeup(rng: np.random.Generator) -> Closeup:
    """Close-up of a candidate, filled with noise."""
    time, scores = np.arange(-0.5, 0.5, 1 / RATE), np.arange(-4, 4, 0.25)
    axes = np.arange(-0.5, 0.5, 1 / 256), np.geomspace(32, 512, 100)
    shape = len(axes[1]), len(axes[0])
    return Closeup(
        time,
        {ifo: rng.normal(size=len(time)) for ifo in IFOS},
        {ifo: QTransform(*axes, rng.exponential(size=shape), 8.0) for ifo in IFOS},
        *(scores, rng.normal(size=len(scores)).astype(np.float32)),
        *(scores, rng.normal(size=len(scores))),
    )


def noise(number: int, livetime: float, rng: np.random.Generator) -> EventTable:
    """Events whose statistics have an exponential tail.

    Args:
        number: Number of events.
        livetime: Live time, s.
        rng: Random numbers.
    """
    times = 1.24e9 + np.sort(rng.uniform(0, livetime, number))
    columns = {"detection_statistic": rng.exponential(size=number).astype(np.float32) - 8, "detection_time": times}
    return EventTable({**columns, "shift": np.zeros((number, 2))}, attributes={"Tb": livetime})


def campaign(rng: np.random.Generator) -> tuple[RecoveredTable, RejectedTable]:
    """Accepted injections, and rejected draws."""
    columns = draw(demo_bbh(), ACCEPTED + REJECTED, rng)
    loudness: Array = 3e4 * (columns["chirp_mass"] / 30) ** (5 / 6) / columns["luminosity_distance"]
    order = np.argpartition(-loudness, ACCEPTED)
    loud, faint = ({name: column[rows] for name, column in columns.items()} for rows in np.split(order, [ACCEPTED]))
    snr = loudness[order[:ACCEPTED]]
    loud |= {"snr": snr, "ifo_snrs": np.stack([0.6 * snr, 0.8 * snr], axis=1), "shift": np.zeros((ACCEPTED, 2))}
    loud |= {name: np.linspace(1.24e9, 1.246e9, ACCEPTED) for name in ("injection_time", "detection_time")}
    loud["detection_statistic"] = snr + rng.normal(size=ACCEPTED) - 6
    faint["snr"] = np.full(REJECTED, np.nan)
    attributes = {"num_injections": ACCEPTED + REJECTED, "ifos": list(IFOS)}
    return RecoveredTable(loud, attributes=attributes), RejectedTable(faint)


if __name__ == "__main__":
    main()
