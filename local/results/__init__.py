"""How the measuring tools show what they found, and save it: as tables, JSON, Markdown and HTML."""
