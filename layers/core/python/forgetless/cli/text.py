"""What commands print of stored text: a terminal obeys control characters, so it never gets any."""

from __future__ import annotations

import json

from forgetless.domain.identifiers import is_unseen

__all__ = ["printable", "printable_json", "printable_lines"]


def printable(stored: str) -> str:
    """The text in one line, with an escape such as `\\x1b` for each character that cannot be seen."""
    if stored.isascii() and stored.isprintable():
        return stored
    return "".join(_escape(char) if is_unseen(stored, place) else char for place, char in enumerate(stored))


def printable_lines(text: str) -> str:
    """A message of a command, which may have several lines and quote stored text."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(lines: str) -> str:
    """JSON lines with `\\u009b` and the like for each character in a text that cannot be seen: the same values."""
    if lines.isascii() and "\x7f" not in lines:
        return lines  # JSON itself escapes the other control characters
    unseen = (char >= "\x7f" and is_unseen(lines, place) for place, char in enumerate(lines))
    return "".join(json.dumps(char)[1:-1] if hide else char for char, hide in zip(lines, unseen, strict=True))


def _escape(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii") if ord(char) > 0x7F else repr(char)[1:-1]
