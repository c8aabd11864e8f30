"""The dialect of mem0's self-hosted server, with our own additions (keys, export, webhook deliveries)."""
