"""What a search in the index costs with more and more rows: make bench-index."""
