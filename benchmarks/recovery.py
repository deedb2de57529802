"""A million injections among a million events in 1000 time slides."""

import numpy as np
from _clocks import middle, wall_seconds
from _rows import at_most, sized, tell

from aframe.events.recover import recover

TARGET = at_most(5.0, of_full_amount=True)
COUNT, ROUNDS = sized((1_000_000, 3), (100_000, 2))


def main() -> None:
    rng = np.random.default_rng(0)
    slide = np.arange(COUNT) % 1000
    shift = np.stack([0.0 * slide, 1.0 * slide], axis=1)
    injected = 1e9 + 24.0 * (np.arange(COUNT) // 1000)
    observed = injected + rng.uniform(-2, 2, size=COUNT)
    order = rng.permutation(COUNT)
    arguments = (injected, shift), (observed[order], shift[order]), rng.random(COUNT), 1.0
    seconds, error = middle([wall_seconds(lambda: recover(*arguments)) for _ in range(ROUNDS)])
    recovered, expected = (recover(*arguments) >= 0).sum(), (np.abs(observed - injected) <= 1).sum()
    if recovered != expected:
        raise SystemExit(f"{recovered} of {COUNT} injections are recovered, {expected} should be")
    tell("recover_million", seconds, "s", TARGET, error)


if __name__ == "__main__":
    main()
