"""The process that fills a generation and switches dies after any call: the next one goes on, and nothing differs."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.generations import Generation, Phase
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.runtime.serving import Serving
from forgetless.service.generations import drain, fill
from forgetless.service.generations.opened import OpenGeneration
from forgetless.service.requests import UpdateRequest
from tests.fakes.clock import FakeClock
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.generations.place import NEW, OLD, Place, find, known, say, upkeep

TEXTS = [f"k{number} is kept by k{number + 9}." for number in range(4)]
_MOST_TURNS = 40


#: Calls that change nothing: to die after one of them is to die after the call before it.
_READS = frozenset(
    {
        "behind",
        "behind_tenants",
        "count",
        "digest_key",
        "document",
        "due_documents",
        "due_in_turn",
        "erasure_state",
        "contents",
        "held",
        "history",
        "list_range",
        "list_tenants",
        "open_erasures",
        "pending",
        "pending_tenants",
        "read",
        "read_messages",
        "sample",
        "search_vector",
        "search_words",
        "set_aside",
        "tally",
        "unchanged",
        "unindexed",
    }
)


class WriteMortalLedger(MortalLedger):
    """It dies at changes alone."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name) if name in _READS else super().__getattr__(name)


class MortalPlace(Place):
    """A place whose indexes die, too: their calls are counted with those of the ledger."""

    def opened(self, one: Generation) -> OpenGeneration:
        whole = super().opened(one)
        return OpenGeneration(
            cast("Index", _MortalIndex(whole.index, cast("MortalLedger", self.ledger))), whole.embedder, whole.recipe
        )


class _MortalIndex:
    def __init__(self, index: Index, ledger: MortalLedger) -> None:
        self._index, self._ledger = index, ledger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if name == "past":
            return _MortalIndex(found, self._ledger)
        return found if name in _READS else self._ledger._mortal(found)


def work(process: Serving, clock: FakeClock) -> None:
    """Let the worker of a process switch, and erase one memory in the middle."""
    for _ in range(_MOST_TURNS):
        process().bulk_worker.turn()
        phase = known(process).phase
        if phase is Phase.OLD:
            return
        clock.advance(20 if phase in {Phase.SPREADING, Phase.JOINING, Phase.SETTLING} else 1)
    raise AssertionError(f"it is still {known(process)}")


def test_whatever_call_it_dies_after_the_next_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "PAGE", 2)
    monkeypatch.setattr(drain, "PORTION", 2)
    deaths = 0
    for deadly in count():
        clock = FakeClock()
        mortal = WriteMortalLedger(SqliteLedger(tmp_path / f"{deadly}.db"))
        place = MortalPlace(cast("Ledger", mortal), clock, by_itself=False)
        first = place.process()
        ids = say(first, *TEXTS)
        for id_ in ids[:2]:
            first().changes.update(UpdateRequest("acme", id_, text="It was changed."))
        upkeep(first).begin(switching=True)
        mortal.calls, mortal.deadly, mortal.after = 0, deadly, True
        try:
            work(first, clock)
        except KilledError:
            deaths += 1
            clock.advance(300)  # its lease ends
        died, mortal.deadly = mortal.calls > deadly, None
        following = place.process()
        following().changes.delete("acme", ids[0])
        following().sweep.sweep()
        work(following, clock)
        clock.advance(60)
        for _ in range(2):
            following().sweep.sweep()
            clock.advance(60)
        assert known(following).serving == NEW
        assert place.rows(NEW) == place.rows(OLD) == ["It was changed.", *TEXTS[2:]], f"it died after call {deadly}"
        assert place.past(NEW) == place.past(OLD) == [TEXTS[1]], f"it died after call {deadly}"
        assert find(following, TEXTS[2])[0] == TEXTS[2]
        mortal.close()
        if not died:
            break
    assert deaths > 40
