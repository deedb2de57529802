"""Peak memory and time of joining half a million injections, as parameters, and 8 s waveforms of two detectors.

The waveforms are those of 16 384 injections (2 GB): memory does not depend on how many there are.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aframe.tables import InjectionTable, RejectedTable, Table, merge_tables
from aframe.waveforms.priors import REQUIRED_COLUMNS
from aframe.waveforms.sieve import COUNTS

ACCEPTED, REJECTED, WITH_WAVEFORMS, SAMPLES = 500_000, 10_000_000, 16_384, 16_384
PARTS = 64
TARGET = 2.0
GB = 1e9


def parts(folder: Path, kind: type[Table], total: int, samples: int) -> list[str]:
    """Tables of random numbers that have ``total`` rows together."""
    rng, paths = np.random.default_rng(1), []
    for part in range(PARTS):
        number = total // PARTS
        columns = {name: rng.random(number) for name in (*REQUIRED_COLUMNS, "snr", "injection_time")}
        columns |= {name: rng.random((number, 2)) for name in ("ifo_snrs", "shift")}
        waveforms = {name: rng.random((number, samples), dtype=np.float32) for name in ("h1", "l1") if samples}
        attributes = {"sample_rate": 2048.0, "duration": 8.0, "right_pad": 2.0, "ifos": ["H1", "L1"]}
        paths.append(str(folder / f"{kind.__name__}-{samples}-{part}.hdf5"))
        kind(columns, waveforms, {**attributes, "num_injections": number}).write(paths[-1])
    return paths


def merge(
    kind: type[Table], paths: list[str], path: str, results: "multiprocessing.Queue[tuple[float, float]]"
) -> None:
    """Join in a process of its own, which tells its peak memory (bytes) and time (s)."""
    start = time.perf_counter()
    merge_tables(kind, paths, path, {}, COUNTS)
    unit = 1 if sys.platform == "darwin" else 1024
    results.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, time.perf_counter() - start))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for kind, total, samples in (
            (InjectionTable, ACCEPTED, 0),
            (RejectedTable, REJECTED, 0),
            (InjectionTable, WITH_WAVEFORMS, SAMPLES),
        ):
            paths = parts(Path(folder), kind, total, samples)
            whole, results = str(Path(folder) / "whole.hdf5"), context.Queue()
            process = context.Process(target=merge, args=(kind, paths, whole, results))
            process.start()
            memory, seconds = results.get()
            process.join()
            assert kind.count(whole) == PARTS * (total // PARTS)
            size = Path(whole).stat().st_size
            what = f"{kind.__name__}, {total} rows of {samples} samples, {size / GB:.2f} GB"
            print(f"{what}: {memory / GB:.2f} GB, {seconds:.1f} s")
            peak = max(peak, memory)
            for path in (whole, *paths):
                Path(path).unlink()
    print(json.dumps({"benchmark": "peak memory of merging 500 000 injections", "value": round(peak / GB, 3),
                      "unit": "GB", "target": TARGET, "ok": peak / GB <= TARGET}))  # fmt: skip


if __name__ == "__main__":
    main()
