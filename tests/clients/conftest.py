"""The running service that the clients talk to."""

from __future__ import annotations

from tests.e2e.conftest import house

__all__ = ["house"]
