"""Properties of this machine: processes, locks, GPUs, precision, versions and the terminal."""
