"""The errors that keep the service from running; each is shown to the user in one line."""

from __future__ import annotations

__all__ = ["PartFailedError", "UpError"]


class UpError(Exception):
    """The command cannot go on. The text is the one line that the user sees, and says what to do."""


class PartFailedError(UpError):
    """A part did not start, or died repeatedly."""
