"""The settings of a run: keys of the ``.cfg``, variables of the ``.env``, and all that can be wrong with them."""
