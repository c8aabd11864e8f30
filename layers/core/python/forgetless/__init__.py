"""Forgetless: the memory layer for AI agents, as one package that the functions, the CLI and uvicorn share."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
