"""Reading: search, lists and history, now or as of an earlier moment."""
