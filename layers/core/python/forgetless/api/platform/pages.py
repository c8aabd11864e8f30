"""Pages: the envelope `count`, `next`, `previous`, `results`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

__all__ = ["envelope"]


def envelope(request: Request, results: Sequence[Any], *, count: int, number: int, size: int) -> dict[str, Any]:
    """One page; `next` and `previous` are addresses of the same request."""

    def address(page: int) -> str:
        return str(request.url.include_query_params(page=page, page_size=size))

    return {
        "count": count,
        "next": address(number + 1) if number * size < count else None,
        "previous": address(number - 1) if number > 1 else None,
        "results": list(results),
    }
