"""The steps of a run as plain functions of its artifacts. Tasks and commands call them alike."""
