"""Signals: populations, polarizations, what detectors see of them, and sets of injections."""
