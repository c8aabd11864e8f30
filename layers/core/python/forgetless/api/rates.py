"""How a key stands with its rate, in the headers that mem0's clients read."""

from __future__ import annotations

import time

__all__ = ["RATE_HEADERS", "rate_headers"]

RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def rate_headers(limit: int, remaining: int, reset_s: int) -> dict[str, str]:
    """Limit and remaining requests, and the Unix time when all of them are back."""
    values = (limit, remaining, int(time.time()) + reset_s)
    return dict(zip(RATE_HEADERS, map(str, values), strict=True))
