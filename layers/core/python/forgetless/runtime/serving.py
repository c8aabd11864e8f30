"""Serving: the services of the generation of the index that serves, exchanged when another one begins to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from forgetless.domain.errors import IndexUnavailableError, LedgerError
from forgetless.domain.generations import Generation
from forgetless.service.generations.kept import KeptGenerations
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.upkeep import UpkeepRules
from forgetless.service.services import Services

__all__ = ["Serving"]

#: Builds the services of a generation; from the services that served before it takes over what is not written yet.
Build = Callable[[KeptGenerations, Services | None], Services]


class Serving:
    """Whoever calls it gets services of one generation, so no search sees two. It costs no call but every 30 s."""

    def __init__(
        self,
        build: Build,
        *,
        record: GenerationRecord,
        openings: Openings,
        rules: UpkeepRules,
        unread: Callable[[], Generation],
    ) -> None:
        """`unread` names the generation that serves while ledger or index have never answered which one does."""
        self._build = build
        self._record = record
        self._openings = openings
        self._rules = rules
        self._unread = unread
        self._lock = threading.Lock()
        self._mine = ""
        self._services: Services | None = None

    def __call__(self) -> Services:
        """The services of the generation that serves."""
        serving = self._serving()
        services = self._services
        if services is not None and serving.collection == self._mine:
            return services
        with self._lock:
            if self._services is None or serving.collection != self._mine:
                kept = KeptGenerations(serving, self._record, self._openings, self._rules)
                self._services = self._build(kept, self._services)
                self._mine = serving.collection
            return self._services

    def _serving(self) -> Generation:
        try:
            return self._record.known().serving
        except (LedgerError, IndexUnavailableError):  # then no request succeeds, but /health has to say so
            return self._unread()
