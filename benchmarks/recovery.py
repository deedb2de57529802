"""A million injections among a million events in 1000 time slides."""

import json
import time

import numpy as np

from aframe.events.recover import recover

TARGET = 5.0
COUNT = 1_000_000


def main() -> None:
    rng = np.random.default_rng(0)
    slide = np.arange(COUNT) % 1000
    shift = np.stack([0.0 * slide, 1.0 * slide], axis=1)
    injected = 1e9 + 24.0 * (np.arange(COUNT) // 1000)
    observed = injected + rng.uniform(-2, 2, size=COUNT)
    order = rng.permutation(COUNT)
    start = time.perf_counter()
    found = recover((injected, shift), (observed[order], shift[order]), rng.random(COUNT), 1.0)
    seconds = time.perf_counter() - start
    right = (found >= 0).sum() == (np.abs(observed - injected) <= 1).sum()
    print(f"{(found >= 0).sum()} of {COUNT} injections recovered in {seconds:.2f} s, all of those expected: {right}")
    result = {"benchmark": "recover_million", "value": round(seconds, 3), "unit": "s", "target": TARGET}
    print(json.dumps(result | {"ok": bool(right and seconds <= TARGET)}))


if __name__ == "__main__":
    main()
