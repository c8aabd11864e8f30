"""Transfer: memories that leave or enter in other forms (events as JSON lines, mem0's records, answers to a schema)."""
