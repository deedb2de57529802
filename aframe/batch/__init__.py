"""Jobs of batch systems: what a user says about them, and what the system is told."""
