"""EntityWalks: walks through all users, agents, apps and runs of a tenant; what is kept of those without memories goes.

With DynamoDB, the counters of an entity go in a write of their own after the removal of its last memory. A process that
dies in between leaves them, and their keys have the id. An erasure knows only the ids that it names. So before it
removes the first memory, it notes that. A noted erasure ends only after a walk that began when all was removed.

A walk is as long as the list of entities, so all erasures of a tenant share it: a small document counts the walks that
began and those that ended, and whoever works on an erasure takes the next steps. It has an id only during a walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.erasures import Erasure
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger

__all__ = ["EntityWalks"]

#: The kinds of the document that counts a tenant's walks, and of the notes of erasures.
_WALKS, _NOTE = "entity-walks", "erasure-note"
#: About how many entities a step looks at.
_STEP = 500


@dataclass(frozen=True, slots=True)
class _Walks:
    """How many walks of a tenant began and ended, and where the one that has not ended goes on."""

    began: int = 0
    ended: int = 0
    page: str | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> _Walks:
        return cls(int(body["began"]), int(body["ended"]), body["page"])

    def body(self) -> dict[str, Any]:
        return {"began": self.began, "ended": self.ended, "page": self.page}

    def begun(self) -> _Walks:
        """With a walk that has not ended."""
        return self if self.began > self.ended else replace(self, began=self.began + 1, page=None)

    def after(self, page: str | None) -> _Walks:
        """After a page of the walk; `page` is None if it was the last one."""
        return replace(self, page=page, ended=self.ended if page is not None else self.began)


class EntityWalks:
    """The walks of each tenant, and which erasures need one. `ledger` must show all rows."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def note(self, erasure: Erasure) -> None:
        """Note that the erasure removes memories from now on, where a death could leave ids of theirs.

        The deletion of a tenant removes whatever is kept of it anyway.
        """
        if self._ledger.late_writes_s() and not erasure.closes:
            # It is refused if there is a note.
            self._ledger.put_document(Document(erasure.tenant, _NOTE, str(erasure.number), {}, self._clock.now()))

    def needed(self, erasure: Erasure) -> bool:
        """Whether the erasure has removed any memory, and no walk that it waited for has ended."""
        return self._ledger.document(erasure.tenant, _NOTE, str(erasure.number)) is not None

    def done(self, erasure: Erasure) -> None:
        """Remove the note of an erasure that needs no walk any more."""
        self._ledger.delete_document(erasure.tenant, _NOTE, str(erasure.number))

    def following(self, tenant: str) -> int:
        """The number of the next walk of the tenant that will begin."""
        return self._read(tenant)[1].began + 1

    def has_ended(self, tenant: str, number: int) -> bool:
        """Take a step towards the end of this walk; whether it has ended."""
        held, walks = self._read(tenant)
        if walks.ended >= number:
            return True
        begun = walks.begun()
        following = begun.after(self._ledger.clear_entities(tenant, limit=_STEP, cursor=begun.page))
        # It is refused if another process has gone on meanwhile. Then its place counts.
        return self._put(tenant, held, following) and following.ended >= number

    def _read(self, tenant: str) -> tuple[Document | None, _Walks]:
        held = self._ledger.document(tenant, _WALKS, _WALKS)
        return held, _Walks() if held is None else _Walks.of(held.body)

    def _put(self, tenant: str, held: Document | None, walks: _Walks) -> bool:
        if held is None:
            return self._ledger.put_document(Document(tenant, _WALKS, _WALKS, walks.body(), self._clock.now()))
        return self._ledger.put_document(replace(held, body=walks.body(), version=held.version + 1))
