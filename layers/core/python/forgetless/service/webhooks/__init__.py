"""Webhooks: registration (registry), events recorded for sending (outbox), and sending with retries (delivery)."""
