"""Jobs of batch systems: scripts and submit files, containers, and states of jobs."""
