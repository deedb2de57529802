"""From a trained network to one that a server can load."""
