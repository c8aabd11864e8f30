"""The log of a webhook's deliveries; webhooks themselves belong to the platform dialect."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.keys import Role
from forgetless.domain.webhook_deliveries import Delivery

__all__ = ["ROUTES"]


def list_deliveries(
    caller: CurrentCaller,
    webhook_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(max_length=4096)] = None,
) -> Response:
    """What was sent to a webhook in the last days and what is waiting, newest first (administrators)."""
    found, following = caller.all_services.deliveries.log(caller.tenant, webhook_id, limit=limit, cursor=cursor)
    return json_response({"results": [_item(delivery) for delivery in found], "next_cursor": following})


def _item(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "status": delivery.state,
        "events": [{"memory_id": event.memory_id, "version": event.version} for event in delivery.events],
        "delivered": delivery.done,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.due_at if delivery.state == "pending" else None,
        "attempts": [{"at": one.at, "status": one.status, "error": one.error} for one in delivery.attempts],
    }


ROUTES = (Route("GET", "/api/v1/webhooks/{webhook_id}/deliveries/", list_deliveries, needs=Role.ADMIN),)
