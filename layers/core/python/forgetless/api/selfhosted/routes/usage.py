"""Usage: what the tenant or the key has used by day, and its quotas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.usage import OF_TENANT, UsageKind
from forgetless.ports.usage import UsageRow
from forgetless.service.access.usage_reports import QuotaState

__all__ = ["ROUTES", "shown_quota", "shown_row"]

_DEFAULT_LIMIT, _MOST = 100, 1000


def get_usage(
    caller: CurrentCaller,
    *,
    from_: Annotated[str | None, Query(alias="from")] = None,
    to: str | None = None,
    by: Literal["day", "key"] = "day",
    key_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """What was used on each day (UTC) of the present month, or from one day to another, and the quotas.

    Administrators see the tenant's sums, with `by=key` each key, or with `key_id` one; other keys see themselves.
    If more follow, `next_cursor` continues the list by key.
    """
    assert caller.key is not None
    reports = caller.build_services().usage
    quotas = [shown_quota(one) for one in reports.quotas(caller.key)]
    if by == "key" and key_id is None:
        page = reports.by_key(caller.key, first=from_, last=to, limit=limit, cursor=cursor)
        more = {} if page.cursor is None else {"next_cursor": page.cursor}
        return json_response({"usage": [shown_row(row) for row in page.rows], "quotas": quotas, **more})
    rows = reports.days(caller.key, first=from_, last=to, key_id=key_id)
    return json_response({"usage": [shown_row(row) for row in rows], "quotas": quotas})


def shown_row(row: UsageRow) -> dict[str, Any]:
    """One day of a key, or (`key_id: null`) of the tenant."""
    counts = {str(kind): row.counts.get(kind, 0) for kind in UsageKind}
    return {"day": row.day, "key_id": None if row.key_id == OF_TENANT else row.key_id, **counts}


def shown_quota(state: QuotaState) -> dict[str, Any]:
    """One quota with what is used of it."""
    return {
        "of": state.of,
        "quota": str(state.name),
        "limit": state.limit,
        "used": state.used,
        "resets_at": state.resets_at,
    }


ROUTES = (Route("GET", "/usage", get_usage),)
