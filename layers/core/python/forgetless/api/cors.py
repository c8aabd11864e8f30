"""Cross-origin requests: which web pages may call the API from a script (Starlette's middleware)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from forgetless.api.answer_size import TRUNCATED_HEADER
from forgetless.api.errors import RATE_HEADERS
from forgetless.api.history_answer import NEXT_VERSION_HEADER
from forgetless.api.next_cursor import NEXT_CURSOR_HEADER
from forgetless.api.request_middleware import RANKED_BY_HEADER

__all__ = ["cross_origin"]

#: The response headers that a script may read.
_EXPOSED = (
    "X-Request-ID",
    "Server-Timing",
    "Retry-After",
    "ETag",
    "Idempotency-Replayed",
    TRUNCATED_HEADER,
    NEXT_CURSOR_HEADER,
    NEXT_VERSION_HEADER,
    RANKED_BY_HEADER,
    *RATE_HEADERS,
)


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """The layer for CORS, or none without origins.

    It is the outermost one, because preflight requests have no key and errors need its headers too. Keys are sent in
    headers that a script sets, never in cookies, so credentials are not allowed.
    """
    if not origins:
        return []
    layer = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
        max_age=600,
    )
    return [layer]
