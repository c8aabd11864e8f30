"""The HTTP API: FastAPI routes and wire models of both mem0 dialects, and MCP, over the same use cases."""
