"""Which requests are noted in the audit list, and as what: changes, refusals, and what administrators read."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from starlette.types import Scope

from forgetless.api.access import requested_route
from forgetless.api.caller import MCP_NEEDS, MCP_ROUTE, MCP_STATUS, MCP_TOOL, get_caller, key_of
from forgetless.api.routing import Runner
from forgetless.domain.audit import AuditEntry, AuditKind
from forgetless.domain.keys import ApiKey, Role
from forgetless.ports.named_ids import NamedIds
from forgetless.ports.request_effects import RequestEffects

__all__ = ["note_in_audit"]

_logger = logging.getLogger(__name__)

_FORBIDDEN = 403


async def note_in_audit(scope: Scope, status: int, named: NamedIds, effects: RequestEffects, *, run: Runner) -> None:
    """Note the request if it belongs to the list. The answer has been sent by now."""
    key, state = key_of(scope), scope["state"]
    if key is None or not status:
        return
    route = requested_route(scope)
    needs: Role | None = state.get(MCP_NEEDS) if route is None else route.role
    status = state.get(MCP_STATUS, status)
    # A repeat under an Idempotency-Key shows the stored answer and changes nothing.
    reads = needs is Role.READ or effects.repeat or (route is not None and scope["method"] in {"GET", "HEAD"})
    # What has changed something and was refused or failed afterwards is a change.
    kind = AuditKind.CHANGE if effects.changed and not reads else _kind(key, needs, status, reads=reads)
    if kind is None:
        return
    path = state.get(MCP_ROUTE) if route is None else route.shown
    named_route = f"{scope['method']} {path}"
    entry = AuditEntry(kind, key.id, named_route, status, state["request_id"], tool=state.get(MCP_TOOL))
    at_once = kind is not AuditKind.REFUSAL and needs is Role.ADMIN
    await run(partial(_note, scope, key, entry, _with_memory(scope, named), at_once=at_once))


def _note(scope: Scope, key: ApiKey, entry: AuditEntry, named: dict[str, Any], *, at_once: bool) -> None:
    try:
        get_caller(scope).build_services().audit.note(key.tenant, entry, named, at_once=at_once)
    except Exception:  # the answer has been sent: nothing that goes wrong here may end its connection
        _logger.exception("request %s is not in the audit list", entry.request_id)


def _kind(key: ApiKey, needs: Role | None, status: int, *, reads: bool) -> AuditKind | None:
    if status == _FORBIDDEN:
        return AuditKind.REFUSAL
    # A change that failed with an error of a server may have taken effect.
    if needs is None or 400 <= status < 500:
        return None
    if not reads:
        return AuditKind.CHANGE
    return AuditKind.READ if key.admin else None


def _with_memory(scope: Scope, named: NamedIds) -> dict[str, Any]:
    memory_id = scope.get("path_params", {}).get("memory_id")
    return {**named, **({"memory_id": {memory_id}} if memory_id else {})}
