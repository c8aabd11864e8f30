"""An arena: several processes use one ledger at once, in rounds that each have a seed of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.ports.ledger import Ledger
from tests.concurrency.crew import Crew, Work
from tests.concurrency.turnstile import FAULTS, Turnstile

__all__ = ["FIRST_SEED", "TIMES", "Arena", "first_look"]

#: `make test` plays the same few rounds each time. FORGETLESS_RACE_TIMES=50 plays more, FORGETLESS_RACE_SEED others.
TIMES = int(os.environ.get("FORGETLESS_RACE_TIMES", "1"))
FIRST_SEED = int(os.environ.get("FORGETLESS_RACE_SEED", "1"))


@dataclass
class Arena:
    """`opens` has the ledger for each process; `ledger` is for the test itself, between the races."""

    crew: Crew
    opens: Sequence[Callable[[], Ledger]]
    ledger: Ledger
    turnstile: Turnstile | None = None
    seed: int = 0

    @property
    def count(self) -> int:
        """How many processes race."""
        return len(self.opens)

    def rounds(self, *, sqlite: int, dynamodb: int) -> Iterator[str]:
        """A name for each round, to keep what it writes apart. moto takes much longer for one than SQLite."""
        for number in range(TIMES * (sqlite if self.turnstile is None else dynamodb)):
            self.seed = FIRST_SEED + number
            print(f"round {number}: FORGETLESS_RACE_SEED={self.seed}")
            yield f"round-{number}"

    def race(
        self, work: Work, *args: Any, faults: Mapping[str, float] = FAULTS, mortal: Iterable[int] = ()
    ) -> list[Any]:
        """What `work(ledger, number, *args)` gave in each process; those that are `mortal` may be cut off for good."""
        if self.turnstile is None:
            return self.crew.together(self.opens, work, *args, seed=self.seed)
        self.turnstile.begin(self.count, self.seed, faults=faults, mortal=mortal)
        return self.crew.together(self.opens, work, *args, seed=self.seed, left=self.turnstile.left)


def first_look(ledger: Ledger, number: int) -> None:
    """Connect and look at the schema, as the first call does: it is no part of a game."""
    ledger.ping()
