"""Composition: reads the settings, creates the adapters they name, and caches them while the process lives."""
