"""The embedding service: prepares models and serves them in batches over HTTP; shares no code with Forgetless."""
