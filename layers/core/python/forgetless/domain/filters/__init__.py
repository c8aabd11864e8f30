"""Filters: the AST, the parsers of the two filter languages, and the evaluation of a filter for one memory."""
