"""Writing: everything that adds, changes or deletes memories and their rows in the index."""
