"""An SQS server on SQLite: messages survive a restart."""
