"""A run: paths of its files, parameters of each, and its stages."""
