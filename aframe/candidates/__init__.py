"""The candidates of a search: their table, significance, origin and order."""
