"""Studies: many trainings of one network with other values of chosen keys, and the best of them."""
