"""Views: the same three reads, either of the present or as of the moment that `as_of` and `known_at` name."""

from __future__ import annotations

from typing import Protocol

from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.service.reading.as_of import AsOfService
from forgetless.service.reading.lists import ReadService
from forgetless.service.reading.search import SearchService
from forgetless.service.requests import PageOf, PageRequest, ScoredMemory, SearchRequest

__all__ = ["AsOfView", "PresentView", "View"]


class View(Protocol):
    """Memories at one moment."""

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        """The memories that match the query, best first."""

    def page(self, request: PageRequest) -> PageOf[Memory]:
        """One page, newest first, and how many memories match in all."""

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        """One memory; None if it does not exist at that moment."""


class PresentView:
    """See `View`: the memories as they are now."""

    def __init__(self, search: SearchService, reads: ReadService) -> None:
        self.search = search.search
        self.page = reads.page
        self.get = reads.get


class AsOfView:
    """See `View`: the memories as they were at a given moment."""

    def __init__(self, service: AsOfService, moment: Moment) -> None:
        self._service = service
        self._moment = moment

    def search(self, request: SearchRequest) -> list[ScoredMemory]:
        return self._service.search(request, self._moment)

    def page(self, request: PageRequest) -> PageOf[Memory]:
        return self._service.page(request, self._moment)

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        return self._service.get(tenant, memory_id, self._moment)
