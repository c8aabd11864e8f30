"""Access: who may do what and how often (keys, limits to users, rate limits), and repeated requests (idempotency)."""
