"""Rank the candidates of a search, and estimate their significance and origin."""
