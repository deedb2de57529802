"""A run: where its files lie, what made each, and which stages it has."""
