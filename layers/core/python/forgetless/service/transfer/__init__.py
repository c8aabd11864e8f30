"""Transfer: exports and imports of memories in other forms: events as JSON lines, mem0's records, a client's schema."""
