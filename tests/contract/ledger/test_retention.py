"""What ends by itself: the last copies of erased text, and records whose time is over."""

from __future__ import annotations

from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, delete


def test_a_scrub_takes_nothing_away_but_what_was_erased(ledger: Ledger) -> None:
    kept, gone = a_memory("a"), a_memory("b")
    ledger.append(add(kept, gone))
    ledger.append([delete(gone)])
    assert ledger.scrub_erased()
    assert ledger.scrub_erased()
    assert ledger.list_memories("acme", {}, limit=9).items == (kept,)
