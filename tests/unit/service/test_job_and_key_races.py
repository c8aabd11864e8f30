"""Ending a job or changing a key while others do the same: nothing that was done is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import AuthenticationError, InvalidRequestError, LeaseLostError, LlmReplyError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.usage import Use
from forgetless.service.jobs.sweep import LOST_AFTER_S
from forgetless.service.requests import AddOutcome, AddRequest, IncomingMessage
from tests.contract.ledger.making import keys_of
from tests.unit.service.world import ALICE, World, facts, make_world


class MeddlingLedger(SqliteLedger):
    """A ledger in which something happens between a look and the write that follows it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.before_update: Callable[[], object] | None = None
        self.before_put_key: Callable[[], object] | None = None
        self.after_key: Callable[[], object] | None = None

    def update_job(self, job: Job, *, held: Job, used: Sequence[Use] = ()) -> bool:
        act, self.before_update = self.before_update, None
        if act is not None:
            act()
        return super().update_job(job, held=held, used=used)

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
        act, self.before_put_key = self.before_put_key, None
        if act is not None:
            act()
        return super().put_key(key, held=held, most=most, now=now)

    def key(self, hash_: str) -> ApiKey | None:
        found = super().key(hash_)
        act, self.after_key = self.after_key, None
        if act is not None:
            act()
        return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[MeddlingLedger]:
    ledger = MeddlingLedger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def a_world(ledger: MeddlingLedger, tmp_path: Path, *replies: str) -> World:
    return make_world(tmp_path, list(replies), ledger=ledger)


def add(world: World, *, queued: bool = False) -> AddOutcome:
    message = IncomingMessage("user", "I like tea.")
    return world.services.add.add(AddRequest(ALICE, (message,), infer=True, queued=queued, idempotency_key="k"))


def the_job(world: World) -> Job:
    [job], _ = world.ledger.jobs("default", limit=9)
    return job


def test_a_job_that_a_late_worker_ends_while_sweep_brings_it_back_is_not_done_again(
    ledger: MeddlingLedger, tmp_path: Path
) -> None:
    world = a_world(ledger, tmp_path, facts("She likes tea."), facts("She likes coffee."))
    add(world, queued=True)
    late = ledger.claim_job("default", the_job(world).id, owner="late", now=world.clock.now(), until=world.clock.now())
    assert late is not None
    world.clock.advance(LOST_AFTER_S + 1)
    done = replace(late, state=JobState.SUCCEEDED, completed_at=world.clock.now())
    ledger.before_update = lambda: ledger.append([], completing=done)
    sent = len(world.queue)
    assert world.services.sweep.sweep().requeued == 0
    assert (the_job(world).state, len(world.queue)) == (JobState.SUCCEEDED, sent)


def test_two_repeats_of_a_failed_add_begin_it_once(ledger: MeddlingLedger, tmp_path: Path) -> None:
    world = a_world(ledger, tmp_path, "nonsense", "nonsense", facts("She likes tea."), facts("She likes coffee."))
    with pytest.raises(LlmReplyError):
        add(world)
    ledger.before_update = lambda: add(world)
    outcome = add(world)
    assert [stored.memory for stored in outcome.results] == ["She likes tea."]
    assert (world.texts(), the_job(world).state) == (["She likes tea."], JobState.SUCCEEDED)


def test_who_lost_a_job_does_not_fail_it_for_those_who_have_it(ledger: MeddlingLedger, tmp_path: Path) -> None:
    """It was taken over, and waits for its next try when the first worker hears of it."""
    world = a_world(ledger, tmp_path, facts("She likes tea."))
    assert world.llm is not None
    complete = world.llm.complete

    def taken_over(*args: object, **more: object) -> str:
        held = the_job(world)
        assert ledger.update_job(replace(held, state=JobState.PENDING, lease_owner=None, lease_until=None), held=held)
        return complete(*args, **more)  # type: ignore[arg-type]

    world.llm.complete = taken_over  # type: ignore[method-assign]
    with pytest.raises(LeaseLostError):
        add(world)
    assert the_job(world).state is JobState.PENDING
    assert world.texts() == []


def test_a_key_that_is_revoked_while_it_is_registered_stays_revoked(ledger: MeddlingLedger, tmp_path: Path) -> None:
    keys = a_world(ledger, tmp_path).services.keys
    key = keys.register("default", "a secret that nobody can guess, really", role=Role.WRITE, label="laptop")
    ledger.before_put_key = lambda: keys.revoke("default", key.id)
    with pytest.raises(InvalidRequestError, match="revoked"):
        keys.register("default", "a secret that nobody can guess, really", role=Role.ADMIN, label="at the start")
    assert [each.revoked for each in keys_of(ledger, "default")] == [True]


def test_a_key_is_revoked_once(ledger: MeddlingLedger, tmp_path: Path) -> None:
    keys = a_world(ledger, tmp_path).services.keys
    key, _ = keys.create("default", label="", role=Role.WRITE)
    ledger.before_put_key = lambda: keys.revoke("default", key.id)
    with pytest.raises(InvalidRequestError, match="already"):
        keys.revoke("default", key.id)


def test_rotations_at_once_make_no_successor_that_ends_with_an_overlap(ledger: MeddlingLedger, tmp_path: Path) -> None:
    keys = a_world(ledger, tmp_path).services.keys
    old, _ = keys.create("default", label="", role=Role.WRITE)

    def rotate_when_the_successor_is_stored() -> None:
        ledger.before_put_key = lambda: keys.rotate("default", old.id, overlap_s=60)

    ledger.before_put_key = rotate_when_the_successor_is_stored  # the other finds the key as it was
    keys.rotate("default", old.id, overlap_s=3600)
    keys.rotate("default", old.id, overlap_s=3600)
    held = {key.id: key.ends_at for key in keys_of(ledger, "default")}
    assert held.pop(old.id) is not None
    assert list(held.values()) == [None, None, None]


def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_believed_afterwards(
    ledger: MeddlingLedger, tmp_path: Path
) -> None:
    """Here a revocation works at once, though other processes may take half a minute."""
    keys = a_world(ledger, tmp_path).services.keys
    key, secret = keys.create("default", label="", role=Role.WRITE)
    ledger.after_key = lambda: keys.revoke("default", key.id)
    keys.authenticate(secret)  # it was valid when this began
    with pytest.raises(AuthenticationError):
        keys.authenticate(secret)
