"""The part of pandas.api that pymilvus asks for."""

from __future__ import annotations

from pandas.api import types

__all__ = ["types"]
