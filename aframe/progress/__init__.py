"""Progress and activity of running work."""
