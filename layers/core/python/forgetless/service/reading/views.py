"""Views: the same four reads, either of the present or as of the moment that `as_of` and `known_at` name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from forgetless.domain.filters.ast import EVERYTHING, Filter
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.service.reading.as_of import AsOfService
from forgetless.service.reading.lists import ReadService
from forgetless.service.reading.search import SearchService
from forgetless.service.requests import Page, PageRequest, ScoredMemory, SearchRequest

__all__ = ["AsOfView", "PresentView", "View"]


class View(Protocol):
    """Memories at one moment."""

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        """The memories that match the query, best first."""

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        show_expired: bool = False,
        where: Filter = EVERYTHING,
    ) -> list[Memory]:
        """The newest `limit` memories that have all `ids` and match `where`."""

    def page(self, request: PageRequest) -> Page:
        """One page, newest first, and how many memories match in all."""

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        """One memory; None if it does not exist at that moment."""


class PresentView:
    """See `View`: the memories as they are now."""

    def __init__(self, search: SearchService, reads: ReadService) -> None:
        self.search = search.search
        self.list_memories = reads.list
        self.page = reads.page
        self.get = reads.get


class AsOfView:
    """See `View`: the memories as they were at a given moment."""

    def __init__(self, service: AsOfService, moment: Moment) -> None:
        self._service = service
        self._moment = moment

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        return self._service.search(request, self._moment)

    def list_memories(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        show_expired: bool = False,
        where: Filter = EVERYTHING,
    ) -> list[Memory]:
        return self._service.list_memories(
            tenant, ids, self._moment, limit=limit, show_expired=show_expired, where=where
        )

    def page(self, request: PageRequest) -> Page:
        return self._service.page(request, self._moment)

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        return self._service.get(tenant, memory_id, self._moment)
