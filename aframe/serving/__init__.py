"""Triton servers: start and stop, and clients."""
