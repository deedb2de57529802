"""What a run needs and what this machine has, looked at before any work is done."""
