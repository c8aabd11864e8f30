"""Jobs: what runs outside a request, from the queue (ingest) and once a minute (sweep)."""
