"""Webhooks: who is told (registry), what is to be told (outbox), and the sending with its retries (delivery)."""
