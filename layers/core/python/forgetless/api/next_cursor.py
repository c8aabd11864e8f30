"""The cursor of the next page in a header, for answers that are a bare list, as mem0's clients expect them."""

from __future__ import annotations

from typing import Any

from forgetless.service.requests import PageOf

__all__ = ["NEXT_CURSOR_HEADER", "next_cursor"]

NEXT_CURSOR_HEADER = "X-Next-Cursor"


def next_cursor(page: PageOf[Any]) -> dict[str, str]:
    """The header; no header at the end of the list."""
    return {NEXT_CURSOR_HEADER: page.cursor} if page.cursor is not None else {}
