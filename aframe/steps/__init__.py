"""The steps of a run as functions of its artifacts. Tasks and commands call the same functions."""
