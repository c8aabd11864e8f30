"""Export over HTTP: portions of JSON lines that a function's response can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.routing import Route
from forgetless.domain.keys import Role

__all__ = ["CURSOR_HEADER", "ROUTES"]

#: Says where the next portion begins; absent after the last one.
CURSOR_HEADER = "X-Next-Cursor"
#: A response is complete beyond this size: Lambda's end at 6 MB.
_ENOUGH_BYTES = 1024 * 1024
#: Jobs or memories at once; small, since one may have many long messages.
_STEP = 20


def export(caller: CurrentCaller, cursor: Annotated[str | None, Query(max_length=4096)] = None) -> Response:
    """Everything of the tenant (administrators) as JSON lines; ask again with the cursor of the header."""
    parts: list[bytes] = []
    place = cursor
    while True:
        portion = caller.all_services.event_exports.portion(caller.tenant, cursor=place, limit=_STEP)
        parts.append(portion.lines)
        place = portion.cursor
        if place is None or sum(map(len, parts)) >= _ENOUGH_BYTES:
            break
    headers = {CURSOR_HEADER: place} if place else {}
    return Response(b"".join(parts), headers=headers, media_type="application/x-ndjson")


ROUTES = (Route("GET", "/export", export, needs=Role.ADMIN),)
