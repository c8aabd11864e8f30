"""How well an LLM extracts facts with the service's prompt: precision, recall, supersessions, tokens and cost."""
