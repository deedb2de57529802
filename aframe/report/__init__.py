"""The report of a run, and figures for papers."""
