"""Adapters: each implements one port with one technology and translates its errors in one place."""
