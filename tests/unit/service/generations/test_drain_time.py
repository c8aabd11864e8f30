"""The drain ends when its time ends, wherever it is, and goes on from there; a switch waits until it is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.generations import KNOWN_S, Phase
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Refusal
from forgetless.service import history_portions
from tests.fakes.clock import FakeClock
from tests.unit.service.generations.place import NEW, OLD, Place, job_of, known, say, work_until

TENANTS = ("acme", "bolt", "cord")


def pending(place: Place, tenant: str) -> None:
    """Mark all memories of a tenant as pending, and take them from the new generation."""
    place.ledger.mark_unindexed(tenant, at=place.clock.now())
    place.opened(NEW).index.drop_all(tenant)


def test_a_switch_waits_until_what_is_pending_was_brought_portion_by_portion(place: Place, clock: FakeClock) -> None:
    process = place.process()
    for tenant in TENANTS:
        say(process, "She drinks tea.", "She has a dog.", scope=Scope(tenant, user_id="anna"))
    work_until(process, clock, Phase.JOINING)
    for tenant in TENANTS:
        pending(place, tenant)
    clock.advance(KNOWN_S)
    generations = process().generations
    assert generations is not None
    job, rows, phases = job_of(process), [], []
    for _ in range(7):
        progress = generations.work.portion(job, deadline=clock.monotonic())
        job = replace(job, cursor=progress.cursor)
        rows.append(len(place.rows(NEW)))
        phases.append(known(process).phase)
    # A call without time brings one portion, and the next one sees that nothing of that tenant is left.
    assert rows == [2, 2, 4, 4, 6, 6, 6]
    assert phases == [Phase.JOINING] * 6 + [Phase.SETTLING]


def test_what_a_switch_left_is_brought_to_both_one_after_the_other(
    place: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = place.process()
    ids = say(process, "She drinks tea.", "She has a dog.", "She likes snow.")
    work_until(process, clock, Phase.SETTLING)
    for one in (OLD, NEW):
        place.opened(one).index.drop_all("acme")
    memories = list(place.ledger.read("acme", ids).values())
    place.ledger.mark_behind(memories, at=clock.now())
    monkeypatch.setattr(history_portions, "HISTORIES_AT_ONCE", 1)
    generations = process().generations
    assert generations is not None
    counts = []
    for _ in range(4):
        drained = generations.work._drain.run(known(process), lambda: True)
        counts.append((drained.brought, drained.ended, len(place.rows(OLD)), len(place.rows(NEW))))
    assert counts == [(1, False, 1, 1), (1, False, 2, 2), (1, False, 3, 3), (0, True, 3, 3)]


def test_what_the_serving_one_refuses_is_tried_in_the_new_one_in_portions(place: Place, clock: FakeClock) -> None:
    process = place.process()
    ids = say(process, "She drinks tea.", "She has a dog.", "She likes snow.")
    refusals = [Refusal(memory, "odd") for memory in place.ledger.read("acme", ids).values()]
    place.ledger.note_refusals(refusals, at=clock.now(), most=1)
    work_until(process, clock, Phase.FILLING)
    generations = process().generations
    assert generations is not None
    job, rows = job_of(process), []
    while known(process).phase is Phase.FILLING:
        progress = generations.work.portion(job, deadline=clock.monotonic())
        job = replace(job, cursor=progress.cursor)
        rows.append(len(place.rows(NEW)))
    assert rows[-4:] == [1, 2, 3, 3]
