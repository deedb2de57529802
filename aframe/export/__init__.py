"""From a trained network to one that a server can load."""

import os

# read once, when gRPC is imported, as it is by the modules here: processes that are forked to make waveforms never ask
# a server, so that gRPC need not follow them, nor say that it does not
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
