"""Peak memory and time of merging parameters of 500 000 injections, and 8 s waveforms of two detectors.

The waveforms belong to 16 384 injections (2 GB). Memory does not depend on their number.
"""

import tempfile
from pathlib import Path

import numpy as np
from _clocks import alone, peak_gigabytes, wall_seconds
from _rows import at_most, sized, tell

from aframe.tables import InjectionTable, RejectedTable, Table, merge_tables
from aframe.waveforms.priors import demo_bbh, draw
from aframe.waveforms.sieve import COUNTS

ACCEPTED, REJECTED, WITH_WAVEFORMS = sized((500_000, 10_000_000, 16_384), (50_000, 500_000, 2048))
PARTS, SAMPLES = 64, 16_384
TARGET = at_most(2.0, of_full_amount=True)


def parts(folder: Path, kind: type[Table], total: int, samples: int) -> list[str]:
    """Write tables of random numbers.

    Args:
        folder: Directory of the tables.
        kind: Class of the tables.
        total: Number of rows of all tables together.
        samples: Samples of a waveform; 0 for no waveforms.

    Returns:
        Paths of the tables.
    """
    rng, paths = np.random.default_rng(1), []
    drawn = tuple(draw(demo_bbh(), 1, rng))
    for part in range(PARTS):
        number = total // PARTS
        columns = {name: rng.random(number) for name in (*drawn, "snr", "injection_time")}
        columns |= {name: rng.random((number, 2)) for name in ("ifo_snrs", "shift")}
        waveforms = {name: rng.random((number, samples), dtype=np.float32) for name in ("h1", "l1") if samples}
        attributes = {"sample_rate": 2048.0, "duration": 8.0, "right_pad": 2.0, "ifos": ["H1", "L1"]}
        paths.append(str(folder / f"{kind.__name__}-{samples}-{part}.hdf5"))
        kind(columns, waveforms, {**attributes, "num_injections": number}).write(paths[-1])
    return paths


def merge(kind: type[Table], paths: list[str], path: str) -> tuple[float, float]:
    """Merge tables.

    Args:
        kind: Class of the tables.
        paths: Paths of the tables.
        path: Path of the merged table.

    Returns:
        Time (s), and peak memory of this process (GB).
    """
    return wall_seconds(lambda: merge_tables(kind, paths, path, {}, COUNTS)), peak_gigabytes()


def main() -> None:
    peaks, spent = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for kind, total, samples in (
            (InjectionTable, ACCEPTED, 0),
            (RejectedTable, REJECTED, 0),
            (InjectionTable, WITH_WAVEFORMS, SAMPLES),
        ):
            paths = parts(Path(folder), kind, total, samples)
            whole = str(Path(folder) / "whole.hdf5")
            seconds, memory = alone(merge, kind, paths, whole)
            assert kind.count(whole) == PARTS * (total // PARTS)
            what = f"{kind.__name__}, {total} rows of {samples} samples, {Path(whole).stat().st_size / 1e9:.2f} GB"
            print(f"{what}: {memory:.2f} GB, {seconds:.1f} s")
            peaks.append(memory)
            spent += seconds
            for path in (whole, *paths):
                Path(path).unlink()
    tell(f"peak memory of merging {ACCEPTED} injections", max(peaks), "GB", TARGET)
    tell("time of merging them", spent, "s")


if __name__ == "__main__":
    main()
