"""The dialect of mem0's self-hosted server, with additions of Forgetless (keys, export, webhook deliveries)."""
