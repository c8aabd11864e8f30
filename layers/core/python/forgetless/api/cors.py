"""Cross-origin requests: which pages' scripts may call the API, by Starlette's middleware."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from forgetless.api.access import RATE_HEADERS

__all__ = ["cross_origin"]

#: What a script may read of an answer beside its body.
_EXPOSED = ("X-Request-ID", "Server-Timing", "Retry-After", "ETag", "Idempotency-Replayed", *RATE_HEADERS)


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """The outermost layer, as its preflights carry no key and refusals need its headers too; none without origins.

    Keys travel in headers that a script sets, never in cookies, so credentials stay off.
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
