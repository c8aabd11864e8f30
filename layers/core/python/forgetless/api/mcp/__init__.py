"""The use cases as tools of the Model Context Protocol (MCP). Only this package imports the official SDK."""
