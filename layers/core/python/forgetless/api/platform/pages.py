"""Pages: the envelope of a paged answer, with `count`, `next`, `previous` and `results`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

__all__ = ["envelope"]


def envelope(request: Request, results: Sequence[Any], *, count: int, number: int, size: int) -> dict[str, Any]:
    """One page; `next` and `previous` are the URLs of the same request for the neighbouring pages."""

    # The path is quoted again, because an id in it may hold a character that would end the path.
    scope = request.scope
    asked = request.url.replace(path=quote(scope["path"]), query=scope["query_string"].decode("latin-1"), fragment="")

    def address(page: int) -> str:
        return str(asked.include_query_params(page=page, page_size=size))

    return {
        "count": count,
        "next": address(number + 1) if number * size < count else None,
        "previous": address(number - 1) if number > 1 else None,
        "results": list(results),
    }
