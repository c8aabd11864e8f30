"""A conversation of several days, replayed into the running service, and ten questions about it."""
