"""Measures the running service: overhead of gateway and functions, search over 10,000 memories, imports."""
