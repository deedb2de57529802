"""Signals: populations, polarizations, detector responses and sets of injections."""
