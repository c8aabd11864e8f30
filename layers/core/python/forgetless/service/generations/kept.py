"""KeptGenerations: the generations of one ledger, as the services of one of them use them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from forgetless.domain.generations import Generation
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.generations.agreement import AgreementCheck
from forgetless.service.generations.beside import OtherGenerations
from forgetless.service.generations.drain import Drain
from forgetless.service.generations.fill import FillWork
from forgetless.service.generations.opened import Openings
from forgetless.service.generations.past_fill import PastFillWork
from forgetless.service.generations.record import GenerationRecord
from forgetless.service.generations.upkeep import GenerationUpkeep, UpkeepRules
from forgetless.service.jobs.bulk import BulkService

__all__ = ["GenerationServices", "KeptGenerations"]


@dataclass(frozen=True, slots=True)
class KeptGenerations:
    """What a process knows about generations; `mine` is the one whose index and embedder the services have."""

    mine: Generation
    record: GenerationRecord
    openings: Openings
    rules: UpkeepRules


class GenerationServices:
    """What looks after the other generation. `ledger` must hide what erasures cover."""

    def __init__(
        self, kept: KeptGenerations, *, ledger: Ledger, starts: BulkService, clock: Clock, pool: Executor
    ) -> None:
        record, openings = kept.record, kept.openings
        self.beside = OtherGenerations(
            kept.mine.collection, record=record, openings=openings, ledger=ledger, clock=clock
        )
        drain = Drain(ledger=ledger, openings=openings, beside=self.beside, clock=clock)
        self.check = AgreementCheck(ledger=ledger, openings=openings, clock=clock, pool=pool)
        self.work = FillWork(
            ledger=ledger,
            record=record,
            openings=openings,
            beside=self.beside,
            drain=drain,
            check=self.check,
            clock=clock,
        )
        self.past_work = PastFillWork(ledger=ledger, record=record, openings=openings, beside=self.beside, clock=clock)
        self.upkeep = GenerationUpkeep(
            record=record, openings=openings, bulk=starts, drain=drain, rules=kept.rules, clock=clock
        )
