"""A local server with OpenAI's API that behaves like Ollama, vLLM, TEI, Azure, Gemini and others, one at a time."""
