"""StoreStart: decides at the start whether ledger and index belong together, and what to do if they do not.

An index that does not match the ledger is rebuilt. An empty ledger beside an index with rows suggests that data was
lost. The service does not start on it unless the operator confirms that the empty ledger is intended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from forgetless.domain.errors import IndexDamagedError, IndexUnavailableError, LedgerDamagedError, LedgerLostError
from forgetless.domain.recipe import Recipe
from forgetless.domain.recipes import CURRENT
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

__all__ = ["StartVerdict", "StoreStart", "absent_findings", "noted_findings", "patiently"]

T = TypeVar("T")

#: At a start: samples of each tenant, the number of tenants compared, and the seconds for examining the ledger's file.
SAMPLES, TENANTS, LOOK_S = 20, 10, 3.0
#: An index that answers with errors is considered damaged after so many tries, with this pause between them. One that
#: does not answer is asked as often: one that has just been started may need longer than a call may take.
_TRIES, _PAUSE_S = 5, 2.0

_LATER = (
    "nothing was changed, so start again; if it stays so, give calls to Milvus more time: FORGETLESS_MILVUS_TIMEOUT_S"
)
_RESTORE = "restore a backup: make restore FILE=... ARGS=--replace (forgetless restore FILE --replace)"
_WAYS_OUT = (
    "restore a backup with `make restore FILE=...` (`forgetless restore FILE`), or say that an empty ledger is meant: "
    "`make up ARGS=--empty-ledger` (`forgetless check --accept-empty-ledger`)"
)


@dataclass(frozen=True, slots=True)
class StartVerdict:
    """`rebuild`: why the index must be rebuilt, or empty; `identity`: the ledger's identity from now on."""

    rebuild: str
    identity: LedgerIdentity
    #: The loss that was accepted, empty when there was none.
    dropped: str = ""


class StoreStart:
    """Compares ledger and index, and notes the result in the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        index: Index,
        clock: Clock,
        collection: str,
        others: Collection[str] = (),
        recipe: Recipe = CURRENT,
    ) -> None:
        """`others` are the collections of the other generations of the index: a note may name one of them."""
        self._ledger = ledger
        self._index = index
        self._clock = clock
        self._collections = {collection, *others}
        self._check = StoreCheck(ledger=ledger, index=index, clock=clock, collection=collection, recipe=recipe)

    def decide(self, note: IndexNote | None, *, absent: bool, log_left: bool, accept_empty: bool) -> StartVerdict:
        """The verdict about the ledger and an index with this `note`.

        `absent` says that the ledger has no file, and `log_left` that a log of one is there. A file is created here
        only if nothing suggests a loss, or if `accept_empty` accepts it: then the index's rows are dropped.

        Raises LedgerDamagedError; LedgerLostError for a loss that is not accepted; and IndexUnavailableError when the
        index does not answer.
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
        """Store the identity in the ledger."""
        write_identity(self._ledger, identity, clock=self._clock)

    def _accepted(self, loss: str, accept_empty: bool) -> str:
        if loss and not accept_empty:
            raise LedgerLostError(f"{loss}: {_WAYS_OUT}")
        if loss:
            self._index.drop_all()
        return loss

    def _rows(self) -> int:
        try:
            return self._patiently(self._index.count)
        except IndexDamagedError:
            return 0  # an index that cannot be read proves nothing; its note still can

    def _misfit(self, note: IndexNote | None, identity: LedgerIdentity | None, report: StoreReport) -> str:
        known = _misfit_of(note, identity, self._collections)
        if known:
            return known
        for attempt in range(1, _TRIES + 1):
            found = self._patiently(lambda: self._check.beside_each_other(report, samples=SAMPLES, tenants=TENANTS))
            if found.verdict is Verdict.SOUND:
                return ""
            if not found.index_answers_with_errors or attempt == _TRIES:
                break
            self._clock.sleep(_PAUSE_S)
        return found.findings[0].text

    def _patiently(self, ask: Callable[[], T]) -> T:
        return patiently(ask, clock=self._clock)


def patiently(ask: Callable[[], T], *, clock: Clock) -> T:
    """What the index answers; raises IndexUnavailableError, with what to do, if it does not answer any try."""
    for attempt in range(1, _TRIES + 1):
        try:
            return ask()
        except IndexDamagedError:
            raise
        except IndexUnavailableError as error:
            if attempt == _TRIES:
                raise IndexUnavailableError(f"{error.message}, {_TRIES} times; {_LATER}") from error
        clock.sleep(_PAUSE_S)
    raise AssertionError("unreachable: the last try returns or raises")


def absent_findings(note: IndexNote | None, index: Index, *, log_left: bool) -> tuple[Finding, ...]:
    """The finding about a missing ledger file; none if nothing suggests that a ledger was lost."""
    loss = _loss_of_file(note, rows=index.count(), log_left=log_left)
    return (Finding(Verdict.LEDGER, loss, RESTORE),) if loss else ()


def noted_findings(
    ledger: Ledger, index: Index, note: IndexNote | None, collections: Collection[str]
) -> tuple[Finding, ...]:
    """The finding from the ledger's identity, the index's note and its number of rows alone, if there is one.

    `collections` are those of all generations of the index.
    """
    identity = read_identity(ledger)
    if not ledger.tenants(limit=1)[0]:
        loss = _loss_of_content(note, identity, rows=index.count())
        return (Finding(Verdict.LEDGER, loss, RESTORE),) if loss else ()
    misfit = _misfit_of(note, identity, collections)
    return (Finding(Verdict.INDEX, misfit, AFRESH),) if misfit else ()


def _loss_of_file(note: IndexNote | None, *, rows: int, log_left: bool) -> str:
    """Why a missing ledger suggests a loss; empty if probably none existed."""
    if log_left:
        return "the ledger is missing, but its log is still there"
    if note is not None:
        return "the ledger is missing, but the index that was made from it is still there"
    return _full(rows)


def _loss_of_content(note: IndexNote | None, identity: LedgerIdentity | None, *, rows: int) -> str:
    """Why a ledger without any memory suggests a loss; empty if it is probably just new."""
    if note is not None and note.ledger and (identity is None or identity.id != note.ledger):
        return "the ledger is empty, and it is not the one that this index was made from"
    return _full(rows)


def _full(rows: int) -> str:
    return f"the ledger is empty, and the index beside it holds {rows:,} rows" if rows else ""


def _misfit_of(note: IndexNote | None, identity: LedgerIdentity | None, collections: Collection[str]) -> str:
    """Why the index does not match this ledger, judging by their notes alone; empty if the notes agree."""
    if identity is not None and identity.rebuild is Rebuild.NEEDED:
        return "a rebuild of the index was requested or has not begun"
    if note is None:
        return ""
    if note.collection not in collections:
        made_for = note.collection or "its note cannot be read"
        return f"the index was made for another model or recipe ({made_for})"
    if note.ledger and (identity is None or identity.id != note.ledger):
        return "the index was made from another ledger"
    if note.ledger and identity is not None and identity.stamp not in note.stamps:
        return "the ledger is not in the state in which it was last used with this index"
    return ""
