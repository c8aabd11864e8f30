"""Searches, lists and gets of all dialects: of the present, or of the moment that `as_of` and `known_at` name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.service.requests import Page, PageRequest, ScoredMemory, SearchRequest

if TYPE_CHECKING:
    from forgetless.service.services import Services

__all__ = ["get", "list_memories", "page", "search"]


def search(services: Services, request: SearchRequest, moment: Moment | None) -> list[ScoredMemory]:
    """What matters for the query, best first."""
    return services.search.search(request) if moment is None else services.past.search(request, moment)


def list_memories(
    services: Services,
    tenant: str,
    ids: Mapping[str, str],
    moment: Moment | None,
    *,
    limit: int,
    show_expired: bool = False,
    where: Filter = EVERYTHING,
) -> list[Memory]:
    """The newest `limit` memories."""
    if moment is None:
        return services.reads.list(tenant, ids, limit=limit, show_expired=show_expired, where=where)
    return services.past.list_memories(tenant, ids, moment, limit=limit, show_expired=show_expired, where=where)


def page(services: Services, request: PageRequest, moment: Moment | None) -> Page:
    """One page, newest first, and the number of all."""
    return services.reads.page(request) if moment is None else services.past.page(request, moment)


def get(services: Services, tenant: str, memory_id: str, moment: Moment | None) -> Memory | None:
    """One memory; None when there is none, or was none then."""
    if moment is None:
        return services.reads.get(tenant, memory_id)
    return services.past.get(tenant, memory_id, moment)
