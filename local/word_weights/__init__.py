"""Builds the table of word weights that the core layer holds."""
