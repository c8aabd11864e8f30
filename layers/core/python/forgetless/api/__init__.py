"""The HTTP API: FastAPI routes and wire models of both mem0 dialects over one service."""
