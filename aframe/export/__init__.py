"""Export of trained networks to model repositories of Triton servers."""

import os

# gRPC reads this variable when modules of this package import it. Processes that are forked to make waveforms never use
# gRPC, so it needs no support for forks, and prints no warning about them
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
