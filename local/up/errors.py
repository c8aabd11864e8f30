"""What can keep the service from running, each told to the user in one line."""

from __future__ import annotations

__all__ = ["PartFailedError", "UpError"]


class UpError(Exception):
    """A reason not to go on; its text is the one line that the user sees, with the fix in it."""


class PartFailedError(UpError):
    """A part did not start, or died again and again."""
