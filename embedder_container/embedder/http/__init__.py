"""The HTTP server: a small ASGI application and its dialects."""
