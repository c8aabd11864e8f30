"""Adapters: each fulfils one port with one technology and translates its errors once, at its edge."""
