"""Estimate the cost of a run in advance from its amounts of work and the speed of this machine."""
