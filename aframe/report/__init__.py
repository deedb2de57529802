"""Figures and the report: arrays in, figures out."""
