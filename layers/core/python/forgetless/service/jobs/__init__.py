"""Jobs: work outside requests: from the queue (ingest), every minute (sweep), or by an operator's command (reindex)."""
