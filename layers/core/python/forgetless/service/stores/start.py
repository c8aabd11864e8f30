"""StoreStart: whether ledger and index fit each other when the service starts, and what is to be done if not.

An index that does not follow the ledger is made anew. A ledger that is empty beside an index that is not, is a sign
of loss: the service must not start on it, unless it is told that this is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.domain.errors import IndexDamagedError, LedgerDamagedError, LedgerLostError
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.stores.check import StoreCheck
from forgetless.service.stores.ledger_identity import (
    IndexNote,
    LedgerIdentity,
    Rebuild,
    new_identity,
    read_identity,
    write_identity,
)
from forgetless.service.stores.report import AFRESH, RESTORE, Finding, StoreReport, Verdict

__all__ = ["StartVerdict", "StoreStart", "absent_findings", "noted_findings"]

#: At a start: samples of each of some tenants, and the seconds for a look at the ledger's file.
SAMPLES, TENANTS, LOOK_S = 20, 10, 3.0
#: An index that answers with errors is asked so often before it is taken for broken.
_TRIES, _PAUSE_S = 5, 2.0

_RESTORE = "restore a backup: make restore FILE=... ARGS=--replace (forgetless restore FILE --replace)"
_WAYS_OUT = (
    "restore a backup with `make restore FILE=...` (`forgetless restore FILE`), or say that an empty ledger is meant: "
    "`make up ARGS=--empty-ledger` (`forgetless check --accept-empty-ledger`)"
)


@dataclass(frozen=True, slots=True)
class StartVerdict:
    """`rebuild`: why the index must be made anew, empty when it fits; `identity`: what the ledger is from now on."""

    rebuild: str
    identity: LedgerIdentity
    #: The loss that was accepted, empty when there was none.
    dropped: str = ""


class StoreStart:
    """Looks, and notes in the ledger what follows."""

    def __init__(self, *, ledger: Ledger, index: Index, clock: Clock, collection: str) -> None:
        self._ledger = ledger
        self._index = index
        self._clock = clock
        self._collection = collection
        self._check = StoreCheck(ledger=ledger, index=index, clock=clock, collection=collection)

    def decide(self, note: IndexNote | None, *, absent: bool, log_left: bool, accept_empty: bool) -> StartVerdict:
        """The verdict; `absent`: the ledger has no file yet, and one is made here only when it is simply new.

        Raises LedgerDamagedError, LedgerLostError, and IndexUnavailableError when the index does not answer.
        """
        loss = ""
        if absent:
            loss = self._accepted(_loss_of_file(note, rows=self._rows(), log_left=log_left), accept_empty)
        report = self._check.inside_the_ledger(seconds=LOOK_S, thorough=False)
        if report.verdict is Verdict.LEDGER:
            raise LedgerDamagedError(f"{report.findings[0].text}; {_RESTORE}")
        identity = read_identity(self._ledger)
        if not self._ledger.tenants(limit=1)[0]:
            loss = loss or self._accepted(_loss_of_content(note, identity, rows=self._rows()), accept_empty)
            return StartVerdict("", (identity or new_identity()).restamped(Rebuild.NONE), loss)
        misfit = self._misfit(note, identity, report)
        if misfit or identity is None or identity.rebuild is not Rebuild.FILLING:
            state = Rebuild.NEEDED if misfit else Rebuild.NONE
            return StartVerdict(misfit, (identity or new_identity()).restamped(state), loss)
        return StartVerdict("its rebuild was not finished", identity.restamped(Rebuild.FILLING), loss)

    def settle(self, identity: LedgerIdentity) -> None:
        """Note the identity in the ledger."""
        write_identity(self._ledger, identity, clock=self._clock)

    def _accepted(self, loss: str, accept_empty: bool) -> str:
        if loss and not accept_empty:
            raise LedgerLostError(f"{loss}: {_WAYS_OUT}")
        if loss:
            self._index.drop_all()
        return loss

    def _rows(self) -> int:
        try:
            return self._index.count()
        except IndexDamagedError:
            return 0  # what cannot be read is no sign of anything; the note is

    def _misfit(self, note: IndexNote | None, identity: LedgerIdentity | None, report: StoreReport) -> str:
        known = _misfit_of(note, identity, self._collection)
        if known:
            return known
        for attempt in range(1, _TRIES + 1):
            found = self._check.beside_each_other(report, samples=SAMPLES, tenants=TENANTS)
            if found.verdict is Verdict.SOUND:
                return ""
            if not found.index_answers_with_errors or attempt == _TRIES:
                break
            self._clock.sleep(_PAUSE_S)
        return found.findings[0].text


def absent_findings(note: IndexNote | None, index: Index, *, log_left: bool) -> tuple[Finding, ...]:
    """What speaks against a ledger that is not there."""
    loss = _loss_of_file(note, rows=index.count(), log_left=log_left)
    return (Finding(Verdict.LEDGER, loss, RESTORE),) if loss else ()


def noted_findings(ledger: Ledger, index: Index, note: IndexNote | None, collection: str) -> tuple[Finding, ...]:
    """What speaks against a ledger and an index by what was noted of both, before anything is compared."""
    identity = read_identity(ledger)
    if not ledger.tenants(limit=1)[0]:
        loss = _loss_of_content(note, identity, rows=index.count())
        return (Finding(Verdict.LEDGER, loss, RESTORE),) if loss else ()
    misfit = _misfit_of(note, identity, collection)
    return (Finding(Verdict.INDEX, misfit, AFRESH),) if misfit else ()


def _loss_of_file(note: IndexNote | None, *, rows: int, log_left: bool) -> str:
    """Why a ledger that is not there is a sign of loss; empty when none was made yet."""
    if log_left:
        return "the ledger is gone, and the log beside it is not"
    if note is not None:
        return "the ledger is gone, and the index that was made from it is not"
    return _full(rows)


def _loss_of_content(note: IndexNote | None, identity: LedgerIdentity | None, *, rows: int) -> str:
    """Why a ledger without any memory is a sign of loss; empty when it is simply new."""
    if note is not None and note.ledger and (identity is None or identity.id != note.ledger):
        return "the ledger is empty, and it is not the one that this index was made from"
    return _full(rows)


def _full(rows: int) -> str:
    return f"the ledger is empty, and the index beside it holds {rows:,} rows" if rows else ""


def _misfit_of(note: IndexNote | None, identity: LedgerIdentity | None, collection: str) -> str:
    """Why the index cannot follow this ledger, by what was noted of both; empty when nothing speaks against it."""
    if identity is not None and identity.rebuild is Rebuild.NEEDED:
        return "a rebuild of the index was asked for, or not begun"
    if note is None:
        return ""
    if note.collection != collection:
        made_for = note.collection or "what was noted of it cannot be read"
        return f"the index was made for another model or recipe ({made_for})"
    if note.ledger and (identity is None or identity.id != note.ledger):
        return "the index was made from another ledger"
    if note.ledger and identity is not None and identity.stamp not in note.stamps:
        return "the ledger is in another state than the one that the index was kept with"
    return ""
