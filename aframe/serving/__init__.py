"""A Triton server: starting one, and asking one."""
