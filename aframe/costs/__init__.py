"""What a run will cost before it has run: amounts of work, how fast this machine does it, and what comes of both."""

GPU_FLOPS = 4e13
"""Operations a second that a data centre's GPU is taken to do in half precision, a twentieth of what it can at most: by
count (docs/performance.md), not by measurement."""

GPU_WINDOWS = 1e6
"""Windows a second that a GPU is taken to do at most: what the process around it keeps up with."""
