"""The log of a webhook's deliveries. The routes for webhooks themselves are in the Platform's dialect."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.answer_size import fitting_items, share
from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.keys import Role
from forgetless.domain.webhook_deliveries import Delivery

__all__ = ["ROUTES"]


def list_deliveries(
    caller: CurrentCaller,
    webhook_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Cursor = None,
) -> Response:
    """The deliveries to a webhook: sent in the last days, or waiting; newest first (only for administrators)."""
    caller.services.webhooks.get(caller.tenant, webhook_id)
    found, following = caller.all_services.deliveries.log(
        caller.tenant, webhook_id, limit=limit, cursor=cursor, weigh=lambda delivery: share(_item(delivery))
    )
    results = fitting_items([_item(delivery) for delivery in found])
    return json_response({"results": results, "next_cursor": following})


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
