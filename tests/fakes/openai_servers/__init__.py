"""One HTTP server that behaves like the OpenAI-compatible servers of many makers, each below a path of its own."""
