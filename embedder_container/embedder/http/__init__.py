"""The HTTP side: a small ASGI application and the dialects that it speaks."""
