"""Figures of the running service: overhead of gateway and functions, search at 10,000 memories, imports."""
