"""SNS: topics, their subscriptions, and its protocol over HTTP."""
