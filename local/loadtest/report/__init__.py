"""The report: sections of text, tables and plots, as one self-contained HTML page and as Markdown."""
