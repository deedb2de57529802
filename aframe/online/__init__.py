"""Search strain as it arrives, and issue events."""
