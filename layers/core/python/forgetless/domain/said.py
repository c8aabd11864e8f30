"""Said: one message as the index recipe reads it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LONG_TEXT_CHARS", "MOST_CONTEXT_CHARS", "SHORT_TEXT_CHARS", "Said"]

#: A text below this length depends on what was said just before, so it is indexed with its context.
SHORT_TEXT_CHARS = 350
#: How much of a long text is indexed.
LONG_TEXT_CHARS = 1200
#: How much of a message is read as the context of others: no recipe looks further, even if names are left out.
MOST_CONTEXT_CHARS = 4 * LONG_TEXT_CHARS


@dataclass(frozen=True, slots=True)
class Said:
    """What was said, and by whom."""

    #: Without the prefix that names the speaker.
    text: str
    #: The message's `name`, or the prefix that was recognised as a speaker. Never a role.
    speaker: str | None = None
    role: str | None = None
