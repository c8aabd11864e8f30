"""Webhooks: addresses to which changes of memories are sent."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import Text
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.domain.errors import ForbiddenError, InvalidRequestError, NotFoundError
from forgetless.domain.keys import Role
from forgetless.domain.webhooks import EventType, Webhook
from forgetless.service.projects.settings import project_id

__all__ = ["ROUTES"]

MAX_URL_CHARS = 2048


def _http(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise ValueError("Enter a valid URL, with http or https.")
    return url


Url = Annotated[Text, Field(max_length=MAX_URL_CHARS), AfterValidator(_http)]
Name = Annotated[Text, Field(min_length=1, max_length=255)]
EventTypes = Annotated[list[EventType], Field(min_length=1, max_length=20)]


class WebhookCreate(BaseModel):
    """The webhook to register."""

    name: Name
    url: Url
    event_types: EventTypes
    is_active: bool = True


class WebhookUpdate(BaseModel):
    """The changes of a webhook."""

    name: Name | None = None
    url: Url | None = None
    event_types: EventTypes | None = None
    is_active: bool | None = None


def list_webhooks(caller: CurrentCaller, project: str) -> Response:
    """The webhooks of a project, without their secrets."""
    _check_project(caller, project)
    return json_response([_item(one) for one in caller.services.webhooks.list(caller.tenant, project)])


def create_webhook(caller: CurrentCaller, project: str, body: WebhookCreate) -> Response:
    """Register a webhook. Only this answer contains its signing secret (not in mem0; see docs/compatibility.md)."""
    _check_project(caller, project)
    webhook = caller.services.webhooks.create(
        caller.tenant,
        project,
        name=body.name,
        url=body.url,
        event_types=tuple(dict.fromkeys(body.event_types)),
        is_active=body.is_active,
    )
    return json_response({**_item(webhook), "secret": webhook.secret}, status=201)


def update_webhook(caller: CurrentCaller, webhook_id: str, body: WebhookUpdate) -> Response:
    """Change the name, the address or the events of a webhook, or activate or deactivate it."""
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if not changes:
        raise InvalidRequestError("Give at least one of name, url, event_types and is_active.")
    if "event_types" in changes:
        changes["event_types"] = tuple(dict.fromkeys(changes["event_types"]))
    caller.services.webhooks.update(caller.tenant, webhook_id, changes)
    return json_response({"message": "Webhook updated successfully"})


def delete_webhook(caller: CurrentCaller, webhook_id: str) -> Response:
    """Delete a webhook permanently."""
    caller.services.webhooks.delete(caller.tenant, webhook_id)
    return json_response({"message": "Webhook deleted successfully"})


def _check_project(caller: Caller, project: str) -> None:
    if project == project_id(caller.tenant):
        return
    try:
        caller.services.projects.get(caller.tenant, project)
    except NotFoundError:
        raise ForbiddenError("You don't have access to this project") from None


def _item(webhook: Webhook) -> dict[str, Any]:
    return {
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "owner": None,
        "is_active": webhook.is_active,
        "project": webhook.project_id,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
        "disabled_reason": webhook.disabled_reason,
    }


ROUTES = (
    Route("GET", "/api/v1/webhooks/projects/{project}/", list_webhooks, needs=Role.ADMIN),
    Route("POST", "/api/v1/webhooks/projects/{project}/", create_webhook, needs=Role.ADMIN, kept=False),
    Route("PUT", "/api/v1/webhooks/{webhook_id}/", update_webhook, needs=Role.ADMIN),
    Route("DELETE", "/api/v1/webhooks/{webhook_id}/", delete_webhook, needs=Role.ADMIN),
)
