"""Notes to the user about data."""

import functools
import sys


@functools.cache
def tell_once(text: str) -> None:
    """Print a note on the terminal, once in a process.

    Args:
        text: A sentence.
    """
    print(f"note: {text}", file=sys.stderr, flush=True)
