"""One module for each ``aframe`` command: ``add_arguments`` declares its options, ``run`` does it."""
