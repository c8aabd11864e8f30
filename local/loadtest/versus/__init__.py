"""Compares another server of the same dialect with Forgetless, driven alternately in one run."""
