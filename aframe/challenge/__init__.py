"""The machine-learning mock data challenge (arXiv:2209.11146): its data sets, its files and its score."""
