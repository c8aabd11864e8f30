"""ErasureReplay: erases in a restored ledger what was erased after its copy was made, as the log of erasures has it.

The log has digests only, so the ids in clear come from what the copy has: memories, messages, requests of exports and
deliveries. What matches a line of the log names its ids. For what is found, an ordinary erasure begins, which is in
effect at once; a bulk job removes the rows. At the end the ledger gets a new incarnation, so that its next erasures are
told from those after the copy.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from forgetless.domain.documents import Document
from forgetless.domain.erasure_log import (
    LoggedErasure,
    LoggedRestore,
    Moment,
    erased_since,
    markers_of,
    tenant_digest,
)
from forgetless.domain.erasures import Target
from forgetless.domain.schema_exports import EXPORT, scopes_named
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY, Delivery
from forgetless.ports.clock import Clock
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger, Tell
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.delete_tenant import shut, start_deletion
from forgetless.service.jobs.erase import start_erase_job

__all__ = ["ErasureReplay", "ReplayReport", "tenants_of"]

#: How many rows are read at once, and how many targets one erasure has at most.
_PAGE, _TARGETS = 500, 200
#: The kind of the documents, which belong to no tenant, that keep a tenant's last number while its erasures begin: a
#: run that is killed there has raised it already.
_BEGUN = "erased-again"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many lines of the log are of after the copy, and how many users, agents, apps and runs they erased again.

    A whole tenant counts as one.
    """

    lines: int = 0
    targets: int = 0


class ErasureReplay:
    """Works on a ledger that nobody else uses yet. It may be killed at any step and run again."""

    def __init__(self, *, ledger: Ledger, log: ErasureLog, clock: Clock) -> None:
        self._ledger = ledger
        self._log = log
        self._clock = clock
        # Without a queue, the jobs are due at once.
        self._bulk = BulkService(ledger=ledger, queue=None, clock=clock)

    def run(self, tenants: Iterable[str], *, include_erased: bool, tell: Tell) -> ReplayReport:
        """Erase again what these tenants erased, unless `include_erased`, and renew the incarnation in any case."""
        source = self._ledger.incarnation()
        done = ReplayReport() if include_erased else self._erase(tenants, source, tell)
        name = secrets.token_hex(16)
        # The log first: a line about a ledger that never came to be does no harm.
        self._log.write(LoggedRestore(name, source))
        self._ledger.set_incarnation(name)
        return done

    def _erase(self, tenants: Iterable[str], source: str, tell: Tell) -> ReplayReport:
        key = self._log.key()
        restores: list[LoggedRestore] = []
        by_tenant: defaultdict[str, list[LoggedErasure]] = defaultdict(list)
        for line in self._log.lines():
            if isinstance(line, LoggedRestore):
                restores.append(line)
            else:
                by_tenant[line.tenant].append(line)
        lines = targets = rows = 0
        # A tenant may be on several pages, and one that was deleted may have had no memories.
        for tenant in _once(chain(tenants, self._ledger.tenants_with_keys())):
            own = by_tenant.get(tenant_digest(key, tenant), [])
            if not own:
                continue
            erased = erased_since([*own, *restores], Moment(source, self._last(tenant)))
            if any(line.closes for line in erased):
                self._delete(tenant, above=max(line.number for line in own))
                lines, targets = lines + len(erased), targets + 1
                continue
            found: dict[tuple[frozenset[tuple[str, str]], tuple[str, ...]], Target] = {}
            markers = markers_of(key, erased)
            for scope in self._scopes(tenant) if erased else ():
                rows += 1
                if rows % _PAGE == 0:
                    tell(rows, None)
                found |= {(frozenset(one.ids.items()), one.names): one for one in markers.revealed(scope)}
            self._begin(tenant, list(found.values()), above=max(line.number for line in own))
            lines, targets = lines + len(erased), targets + len(found)
        return ReplayReport(lines, targets)

    def _last(self, tenant: str) -> int:
        """The number of the last erasure in the copy."""
        held = self._ledger.document("", _BEGUN, tenant)
        return self._ledger.erasure_state(tenant).last if held is None else int(held.body["last"])

    def _begin(self, tenant: str, targets: list[Target], *, above: int) -> None:
        now = self._clock.now()
        self._ledger.put_document(Document("", _BEGUN, tenant, {"last": self._last(tenant)}, now))
        self._ledger.raise_erasures(tenant, above)
        for start in range(0, len(targets), _TARGETS):
            erasure = self._ledger.begin_erasure(tenant, targets[start : start + _TARGETS], at=now)
            start_erase_job(self._bulk, erasure, self._ledger.digest_key())
        self._ledger.delete_document("", _BEGUN, tenant)

    def _delete(self, tenant: str, *, above: int) -> None:
        """Delete the whole tenant: it is closed and has no keys when this returns, and a job removes the rest."""
        now = self._clock.now()
        start_deletion(self._ledger, self._bulk, tenant, now=now)
        self._ledger.raise_erasures(tenant, above)
        shut(self._ledger, tenant, at=now)

    def _scopes(self, tenant: str) -> Iterator[Scope]:
        """The scope of every memory and message that the copy has, and those that its documents name.

        The first one is no id at all: the whole tenant may have been erased.
        """
        yield Scope(tenant)
        for document in self._documents(tenant, EXPORT):
            yield from scopes_named(document.body.get("filters"), tenant)
        for document in self._documents(tenant, DELIVERY):
            summary = Delivery.of(document).summary
            if summary is not None:
                yield Scope(tenant, **summary.scope)
        cursor: str | None = None
        while True:
            page = self._ledger.list_memories(tenant, {}, limit=_PAGE, cursor=cursor, superseded=True)
            yield from (memory.scope for memory in page.items)
            cursor = page.cursor
            if cursor is None:
                break
        while True:
            messages, cursor = self._ledger.scope_messages(tenant, {}, limit=_PAGE, cursor=cursor)
            yield from (message.scope for message in messages)
            if cursor is None:
                return

    def _documents(self, tenant: str, kind: str) -> Iterator[Document]:
        cursor: str | None = None
        while True:
            found, cursor = self._ledger.documents(tenant, kind, limit=_PAGE, cursor=cursor)
            yield from found
            if cursor is None:
                return


def _once(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


def tenants_of(ledger: Ledger) -> Iterator[str]:
    """All tenants that have memories; each may come more than once."""
    cursor: str | None = None
    while True:
        tenants, cursor = ledger.list_tenants(limit=_PAGE, cursor=cursor)
        yield from tenants
        if cursor is None:
            return
