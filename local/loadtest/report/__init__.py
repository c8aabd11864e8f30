"""The report of a load run: its sections, tables and plots."""
