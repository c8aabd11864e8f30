"""Stores: whether ledger and index are sound and fit together, at the start and on demand."""
