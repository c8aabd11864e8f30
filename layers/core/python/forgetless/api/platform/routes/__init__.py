"""Routes of the Platform: one file a subject; each ends in its table of paths."""
