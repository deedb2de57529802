"""Strain: where it is analysable, where it comes from, and how it is read and made."""
