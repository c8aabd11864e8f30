"""mem0's Platform dialect (/v1, /v2, /v3, /api/v1), which mem0's own clients use, over the same use cases."""
