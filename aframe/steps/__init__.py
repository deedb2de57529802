"""The steps of a run as plain functions of its artifacts, which tasks and commands call alike."""
