"""AuditLog: notes changes, refusals and administrators' reads in the ledger, and lists them for administrators.

A note waits in the process until there are 20 or until the first one 5 seconds after the last write, so that reads and
adds do not pay for a write each. What only an administrator may do is written at once, with all that waits. A process
that is killed loses at most 20 notes.
"""

from __future__ import annotations

import logging
import secrets
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from forgetless.domain.audit import AUDIT, AUDIT_KEY, AuditEntry, AuditKind, scope_digests
from forgetless.domain.cursors import after_document, from_cursor, to_cursor
from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, LedgerError
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.domain.retention import DAY_S
from forgetless.domain.tenants import LATE_S
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document

__all__ = ["AUDIT_KEPT_S", "AuditLog", "AuditPage"]

#: How long an entry is kept.
AUDIT_KEPT_S = 90 * DAY_S
#: So many notes are written at once, or those that wait so many seconds after the last write.
MOST_WAITING, FLUSH_S = 20, 5.0
#: While the ledger does not answer, at most so many notes of a process wait; the oldest ones are given up.
MOST_KEPT = 500
#: A document has at most so many digests (100 KB) unless one note has more, a page of the list so many (2 MB), and
#: what waits of a tenant while the ledger does not answer so many.
_DIGESTS, _DIGESTS_OF_PAGE, _DIGESTS_KEPT = 2_500, 50_000, 50_000
_PAGE = 50
#: The keys of at most so many tenants are remembered, for so long: a tenant that has the name of a deleted one, which
#: takes longer to delete (`LATE_S` in `forgetless.domain.tenants`), has another key.
_MOST_TENANTS, _KEYS_S = 1024, 300.0

_logger = logging.getLogger(__name__)

_Named = Mapping[str, Iterable[str]]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first, and the cursor of the next page (None at the end)."""

    entries: tuple[AuditEntry, ...]
    cursor: str | None


@dataclass(slots=True)
class _Waiting:
    entries: dict[str, list[AuditEntry]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def add(self, tenant: str, entry: AuditEntry) -> None:
        """Append an entry; equal refusals are one, so that a key which is refused again and again fills no ledger."""
        entries = self.entries[tenant]
        for place, held in enumerate(entries):
            if (both := held.takes(entry)) is not None:
                entries[place] = both
                return
        entries.append(entry)
        self.count += 1


class AuditLog:
    """The audit list of every tenant; several threads use it at once."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._keys: dict[str, tuple[float, bytes]] = {}
        self._waiting = _Waiting()
        self._written_at = clock.monotonic()
        self._lock = threading.Lock()

    def note(self, tenant: str, entry: AuditEntry, named: _Named, *, at_once: bool) -> None:
        """Note a request that named these ids. An outage of the ledger is logged and is no reason to fail."""
        entry = replace(entry, at=self._clock.now())
        try:
            key = self._key(tenant)
            entry = replace(entry, scope=scope_digests(key, named) if named else {})
        except (LedgerError, ConflictError) as error:
            _logger.warning("ids are missing in the audit list", extra={"reason": error.code})
        with self._lock:
            self._waiting.add(tenant, entry)
            late = self._clock.monotonic() - self._written_at >= FLUSH_S
            due = at_once or late or self._waiting.count >= MOST_WAITING
        if due:
            self.flush()

    def flush(self) -> None:
        """Write all notes that wait."""
        with self._lock:
            waiting, self._waiting = self._waiting, _Waiting()
            self._written_at = self._clock.monotonic()
        for tenant, entries in waiting.entries.items():
            unwritten = entries
            try:
                unwritten = self._own(tenant, entries)
                self._write(tenant, unwritten)
            except LedgerError as error:
                extra = {"count": len(unwritten), "reason": error.code}
                _logger.warning("the audit list was not written", extra=extra)
                self._keep(tenant, unwritten)

    def page(
        self,
        tenant: str,
        *,
        limit: int,
        cursor: str | None = None,
        named: _Named | None = None,
        kind: AuditKind | None = None,
        key_id: str | None = None,
    ) -> AuditPage:
        """One page, of requests that named these ids, of this kind or with this key.

        It may be short, even empty, although another one follows.
        """
        self.flush()
        wanted = scope_digests(self._key(tenant), named) if named else {}
        found: list[AuditEntry] = []
        digests = 0
        for looked, (place, entry) in enumerate(self._entries(tenant, cursor), start=1):
            chosen = kind in {None, entry.kind} and key_id in {None, entry.key_id}
            if chosen and all(set(some) & set(entry.scope.get(name, ())) for name, some in wanted.items()):
                found.append(entry)
            digests += entry.digests
            if len(found) >= limit or looked >= SCANNED_ROWS or digests >= _DIGESTS_OF_PAGE:
                return AuditPage(tuple(found), place)
        return AuditPage(tuple(found), None)

    def _entries(self, tenant: str, cursor: str | None) -> Iterator[tuple[str, AuditEntry]]:
        """The entries, newest first, each with the cursor after it."""
        after, skip = None, 0
        if cursor is not None:
            created_at, id_, skip = from_cursor(cursor, str, str, int)
            held = self._ledger.document(tenant, AUDIT, id_)
            after = to_cursor(created_at, id_)
            if held is not None:
                yield from _of(held, skip)
        while True:
            documents, after = self._ledger.documents(tenant, AUDIT, limit=_PAGE, cursor=after)
            for document in documents:
                yield from _of(document, 0)
            if after is None:
                return

    def _own(self, tenant: str, entries: list[AuditEntry]) -> list[AuditEntry]:
        """The notes without those that waited so long that they may be about an earlier tenant of this name."""
        if seconds_between(entries[0].at, self._clock.now()) < LATE_S:
            return entries
        held = self._ledger.document(tenant, AUDIT_KEY, "key")
        # The key is made right after the first note, so an older note is about another tenant.
        since = None if held is None else later(held.created_at, -LATE_S / 2)
        return [entry for entry in entries if since is not None and entry.at >= since]

    def _write(self, tenant: str, entries: list[AuditEntry]) -> None:
        """Write the entries and take them out of the list: what a failure leaves there is not written."""
        while entries:
            together = _first(entries, _DIGESTS)
            now = self._clock.now()
            body = {"entries": [entry.record() for entry in entries[:together]]}
            due_at = later(now, AUDIT_KEPT_S)
            self._ledger.put_document(Document(tenant, AUDIT, str(uuid.uuid4()), body, now, due_at=due_at))
            del entries[:together]

    def _keep(self, tenant: str, entries: list[AuditEntry]) -> None:
        with self._lock:
            kept = [*entries, *self._waiting.entries[tenant]][-MOST_KEPT:]
            self._waiting.entries[tenant] = kept[-_first(kept[::-1], _DIGESTS_KEPT) :]

    def _key(self, tenant: str) -> bytes:
        """The key of the tenant's digests, which is made with its first entry."""
        now = self._clock.monotonic()
        known = self._keys.get(tenant)
        if known is None or now - known[0] >= _KEYS_S:

            def make(held: Document | None) -> dict[str, str] | None:
                return {"key": secrets.token_hex(32)} if held is None else None

            document = change_document(self._ledger, (tenant, AUDIT_KEY, "key"), make, clock=self._clock)
            assert document is not None
            if len(self._keys) >= _MOST_TENANTS:
                self._keys.clear()
            known = self._keys[tenant] = now, bytes.fromhex(document.body["key"])
        return known[1]


def _first(entries: Sequence[AuditEntry], most: int) -> int:
    """How many of the first entries have at most so many digests together; one in any case."""
    totals = accumulate(entry.digests for entry in entries)
    return max(1, sum(1 for total in totals if total <= most))


def _of(document: Document, skip: int) -> Iterator[tuple[str, AuditEntry]]:
    records = document.body["entries"][::-1]
    created_at, id_ = from_cursor(after_document(document), str, str)
    for place, record in enumerate(records[skip:], start=skip + 1):
        yield to_cursor(created_at, id_, place), AuditEntry.from_record(record)
