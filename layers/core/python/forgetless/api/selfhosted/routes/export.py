"""Export over HTTP: JSON lines in portions that fit into a Lambda response."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.routing import Route
from forgetless.domain.keys import Role

__all__ = ["CURSOR_HEADER", "ROUTES"]

#: The response header that says where the next portion begins; it is absent after the last portion.
CURSOR_HEADER = "X-Next-Cursor"
#: No further portion is added to a response that has reached this size: Lambda allows at most 6 MB.
_ENOUGH_BYTES = 1024 * 1024
#: The jobs or memories that are read at once: few, because one may have many long messages.
_STEP = 20


def export(caller: CurrentCaller, cursor: Annotated[str | None, Query(max_length=4096)] = None) -> Response:
    """Everything of the tenant as JSON lines (only for administrators). Repeat it with the cursor of the header."""
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
