"""Scores of strain, over zero lag and time slides, with and without injections."""
