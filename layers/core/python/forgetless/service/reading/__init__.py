"""Reading: search, lists, history, and the same as of an earlier moment."""
