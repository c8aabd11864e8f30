"""Which ledger this is, and in which state an index was last kept beside it: a document that no tenant sees."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from forgetless.domain.errors import ConflictError, LedgerError
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.document_change import change_document

__all__ = ["IndexNote", "LedgerIdentity", "Rebuild", "new_identity", "read_identity", "write_identity"]

#: No tenant's, so that nobody lists, exports or resets it.
_PLACE = ("", "ledger", "identity")


class Rebuild(StrEnum):
    """How far the index is on the way back to this ledger."""

    NONE = ""
    #: It must be made from nothing, since it may hold rows that this ledger does not know.
    NEEDED = "needed"
    #: It was emptied, and all memories are marked pending: what is left to do is to index them.
    FILLING = "filling"


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """`id` stays for ever, `stamp` changes at every start: an older copy of the same ledger has an older one."""

    id: str
    stamp: str
    rebuild: Rebuild = Rebuild.NONE

    def restamped(self, rebuild: Rebuild) -> LedgerIdentity:
        """The same ledger from here on."""
        return replace(self, stamp=_random(), rebuild=rebuild)


@dataclass(frozen=True, slots=True)
class IndexNote:
    """What is kept beside the index: its collection, the ledger that it was made from, and that ledger's stamps.

    Two stamps stand there while one takes the other's place. An older version noted the collection alone.
    """

    collection: str
    ledger: str = ""
    stamps: tuple[str, ...] = ()


def new_identity() -> LedgerIdentity:
    """The identity of a ledger that has none yet."""
    return LedgerIdentity(_random(), _random())


def read_identity(ledger: Ledger) -> LedgerIdentity | None:
    """The ledger's identity; None where none was ever noted."""
    held = ledger.document(*_PLACE)
    if held is None:
        return None
    return LedgerIdentity(held.body["id"], held.body["stamp"], Rebuild(held.body["rebuild"]))


def write_identity(ledger: Ledger, identity: LedgerIdentity, *, clock: Clock) -> None:
    """Note it in the ledger; raises LedgerError when others keep changing it."""
    try:
        change_document(ledger, _PLACE, lambda _: asdict(identity), clock=clock)
    except ConflictError:
        raise LedgerError("others keep changing the ledger's identity; try again") from None


def _random() -> str:
    return str(uuid.uuid4())
