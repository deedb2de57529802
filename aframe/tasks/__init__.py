"""The steps as law tasks. Each task defines its requirements and outputs, and calls one function."""
