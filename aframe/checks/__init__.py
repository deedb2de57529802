"""Check the needs of a run, and this machine, before any work."""
