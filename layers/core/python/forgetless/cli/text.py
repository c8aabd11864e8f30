"""What commands print of stored text: a terminal obeys control characters, so it never gets any."""

from __future__ import annotations

from forgetless.domain.identifiers import is_unseen

__all__ = ["printable", "printable_lines"]


def printable(stored: str) -> str:
    """The text in one line, with an escape such as `\\x1b` for each character that cannot be seen."""
    if stored.isascii() and stored.isprintable():
        return stored
    return "".join(_escape(char) if is_unseen(stored, place) else char for place, char in enumerate(stored))


def printable_lines(text: str) -> str:
    """A message of a command, which may have several lines and quote stored text."""
    return "\n".join(map(printable, text.split("\n")))


def _escape(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii") if ord(char) > 0x7F else repr(char)[1:-1]
