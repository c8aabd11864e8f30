"""The same use cases as tools of the Model Context Protocol; only this package imports its official SDK."""
