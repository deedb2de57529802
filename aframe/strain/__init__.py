"""Fetch, read, simulate and resample strain, and find its analysable segments."""
