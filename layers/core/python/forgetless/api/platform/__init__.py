"""mem0's Platform dialect (/v1, /v2, /v3, /api/v1), which its own clients speak, over the same use cases."""
