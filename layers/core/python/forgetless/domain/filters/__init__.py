"""Filters: the AST, the two languages that are parsed into it, and what a filter means for one memory."""
