"""Pipelines: tasks that run the whole search."""
