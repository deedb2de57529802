"""Settings of a run: keys of the ``.cfg``, variables of the ``.env``, and their mistakes."""
