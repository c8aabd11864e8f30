"""Export over HTTP: JSON lines in portions that fit into a Lambda response."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.routing import Route
from forgetless.domain.keys import Role
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.service.transfer.export_portions import bounded_portion

__all__ = ["CURSOR_HEADER", "ROUTES"]

#: The response header that says where the next portion begins; it is absent after the last portion.
CURSOR_HEADER = "X-Next-Cursor"
#: No further portion is added to a response that has reached this size.
_ENOUGH_BYTES = 1024 * 1024
#: The most bytes of one portion. Mangum sends what is not text in base64, so that Lambda counts 4/3 of the bytes.
_MOST_BYTES = ANSWER_BYTES * 3 // 4 - _ENOUGH_BYTES


def export(caller: CurrentCaller, cursor: Annotated[str | None, Query(max_length=4096)] = None) -> Response:
    """Everything of the tenant as JSON lines (only for administrators). Repeat it with the cursor of the header.

    The answers together are the export. A line that is too long for one answer continues in the next one.
    """
    parts: list[bytes] = []
    place = cursor
    while True:
        portion = bounded_portion(
            caller.all_services.event_exports, caller.tenant, cursor=place, most_bytes=_MOST_BYTES
        )
        parts.append(portion.lines)
        place = portion.cursor
        if place is None or sum(map(len, parts)) >= _ENOUGH_BYTES:
            break
    headers = {CURSOR_HEADER: place} if place else {}
    return Response(b"".join(parts), headers=headers, media_type="application/x-ndjson")


ROUTES = (Route("GET", "/export", export, needs=Role.ADMIN),)
