"""Stores: checks whether ledger and index are sound and belong together, at every start and on demand."""
