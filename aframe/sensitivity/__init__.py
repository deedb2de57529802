"""The volume of universe that a search sees at each false alarm rate."""
