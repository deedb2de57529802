"""Pipelines of tasks."""
