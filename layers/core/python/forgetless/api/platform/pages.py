"""Pages: the envelope of a paged answer: `count`, `next`, `previous`, `results`, and the cursor of the next page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.datastructures import URL
from starlette.requests import Request

from forgetless.api.base_path import base_path_of
from forgetless.service.requests import PageOf

__all__ = ["envelope", "page_number"]


def page_number(page: int | None, cursor: str | None) -> int | None:
    """The number of the page: the first one, unless the request names a page or only a cursor."""
    return 1 if page is None and cursor is None else page


def envelope(
    request: Request, results: Sequence[Any], page: PageOf[Any], *, number: int | None, size: int
) -> dict[str, Any]:
    """One page; `next` and `previous` are the addresses of the same request for the neighbouring pages.

    They are relative, because the Host header that an absolute one would repeat may be anybody's. `next` is there
    exactly if more follows, and names the cursor, so that it holds for ever. `number` is None if the request named a
    cursor and no page.
    """
    # The path is quoted again, because an id in it may hold a character that would end the path.
    scope = request.scope
    asked = URL(quote(base_path_of(scope) + scope["path"])).replace(query=scope["query_string"].decode("latin-1"))

    def address(page: int, cursor: str | None) -> str:
        wanted = {"page": page, "page_size": size} | ({"cursor": cursor} if cursor is not None else {})
        return str(asked.remove_query_params("cursor").include_query_params(**wanted))

    answer: dict[str, Any] = {
        "count": page.count.number,
        "next": None,
        "previous": address(number - 1, None) if number is not None and number > 1 else None,
        "results": list(results),
    }
    if page.cursor is not None:
        following = asked.include_query_params(page_size=size, cursor=page.cursor)
        answer["next"] = str(following) if number is None else address(number + 1, page.cursor)
        answer["next_cursor"] = page.cursor
    if not page.count.exact:
        answer["count_is_lower_bound"] = True
    return answer
