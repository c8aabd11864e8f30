"""The audit list: changes, refusals and administrators' reads of the last 90 days, only for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor, check_named
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.audit import AuditEntry, AuditKind
from forgetless.domain.keys import Role
from forgetless.ports.named_ids import note_id

__all__ = ["ROUTES"]


def list_audit(
    caller: CurrentCaller,
    *,
    user_id: str | None = None,
    agent_id: str | None = None,
    app_id: str | None = None,
    run_id: str | None = None,
    memory_id: str | None = None,
    kind: AuditKind | None = None,
    key_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """List who changed what, who was refused and what administrators read, newest first.

    With ids, only requests that named them; with `kind` or `key_id`, only those. A page may be short although
    `next_cursor` continues the list.
    """
    ids = {"user_id": user_id, "agent_id": agent_id, "app_id": app_id, "run_id": run_id}
    named = {name: [check_named(name, value)] for name, value in ids.items() if value is not None}
    if memory_id is not None:
        named["memory_id"] = [note_id("memory_id", memory_id)]
    page = caller.all_services.audit.page(
        caller.tenant, limit=limit, cursor=cursor, named=named, kind=kind, key_id=key_id
    )
    return json_response({"entries": [_item(entry) for entry in page.entries], "next_cursor": page.cursor})


def _item(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "kind": str(entry.kind),
        "key_id": entry.key_id,
        "route": entry.route,
        "tool": entry.tool,
        "status": entry.status,
        "times": entry.times,
        "scope": {name: list(digests) for name, digests in entry.scope.items()},
        "request_id": entry.request_id,
    }


ROUTES = (Route("GET", "/audit", list_audit, needs=Role.ADMIN),)
