"""Said: one message as the index recipe reads it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Said"]


@dataclass(frozen=True, slots=True)
class Said:
    """What was said, and by whom."""

    #: Without the prefix that names the speaker.
    text: str
    #: The message's `name`, or the prefix that was recognised as a speaker. Never a role.
    speaker: str | None = None
    role: str | None = None
