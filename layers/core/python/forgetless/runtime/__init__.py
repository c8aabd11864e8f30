"""Composition: settings from the environment, adapters by settings, cached for the environment's life."""
