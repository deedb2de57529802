"""How far a piece of work has come, on the terminal."""

import time


class Progress:
    """Prints how far a piece of work has come, a few times a minute, in plain lines.

    Args:
        name: What is being done.
        interval: Least time between two lines, s.
    """

    def __init__(self, name: str, interval: float = 5.0) -> None:
        self.name, self.interval = name, interval
        self.start = self.last = time.monotonic()

    def __call__(self, done: float | int, total: float | int) -> None:
        """Report ``done`` of ``total``."""
        now = time.monotonic()
        if now - self.last >= self.interval and 0 < done < total:
            self.last = now
            left = (now - self.start) * (total - done) / done
            print(f"{self.name}: {done:.0f} of {total:.0f} ({100 * done / total:.0f} %), {left:.0f} s left", flush=True)
