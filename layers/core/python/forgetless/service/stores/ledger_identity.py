"""The ledger's identity: a document, visible to no tenant, that tells whether an index was made from this ledger."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from forgetless.domain.errors import ConflictError, LedgerError
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.document_change import change_document

__all__ = ["IDENTITY", "IndexNote", "LedgerIdentity", "Rebuild", "new_identity", "read_identity", "write_identity"]

#: The kind of the document.
IDENTITY = "ledger"
#: It belongs to no tenant, so nobody lists, exports or resets it.
_PLACE = ("", IDENTITY, "identity")


class Rebuild(StrEnum):
    """How far a rebuild of the index from this ledger has come."""

    NONE = ""
    #: The index must be built from nothing, because it may hold rows that this ledger does not know.
    NEEDED = "needed"
    #: The index was emptied and all memories are marked pending. They only need to be indexed.
    FILLING = "filling"


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Which ledger this is: `id` never changes; `stamp` changes at every start, so an older copy has an older stamp."""

    id: str
    stamp: str
    rebuild: Rebuild = Rebuild.NONE

    def restamped(self, rebuild: Rebuild) -> LedgerIdentity:
        """The same ledger with a new stamp."""
        return replace(self, stamp=_random(), rebuild=rebuild)


@dataclass(frozen=True, slots=True)
class IndexNote:
    """What the index stores about its origin: its collection, the ledger it was made from, and that ledger's stamps.

    There are two stamps while a new one replaces the old one. Older versions of Forgetless noted only the collection.
    `beside` are the collections of other generations that are kept up to date. The next start runs their models, too.
    """

    collection: str
    ledger: str = ""
    stamps: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def new_identity() -> LedgerIdentity:
    """The identity of a ledger that has none yet."""
    return LedgerIdentity(_random(), _random())


def read_identity(ledger: Ledger) -> LedgerIdentity | None:
    """The ledger's identity; None if none was ever noted."""
    held = ledger.document(*_PLACE)
    if held is None:
        return None
    return LedgerIdentity(held.body["id"], held.body["stamp"], Rebuild(held.body["rebuild"]))


def write_identity(ledger: Ledger, identity: LedgerIdentity, *, clock: Clock) -> None:
    """Store the identity in the ledger; raises LedgerError when other processes keep changing it."""
    try:
        change_document(ledger, _PLACE, lambda _: asdict(identity), clock=clock)
    except ConflictError:
        raise LedgerError("other processes keep changing the ledger's identity; try again") from None


def _random() -> str:
    return str(uuid.uuid4())
