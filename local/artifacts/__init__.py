"""Checks what `sam build` made: its size against Lambda's limit, and the platform of its compiled files."""
