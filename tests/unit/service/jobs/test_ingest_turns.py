"""Without a queue, tenants and speakers take turns: nobody's backlog of adds holds up those of others."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.llm import ChatMessage
from forgetless.runtime.background_work import RepeatedWork
from forgetless.service.jobs import ingest_worker
from tests.unit.service.jobs.test_ingest_worker import unqueued, until
from tests.unit.service.world import World, facts
from tests.unit.service.writing.long_adds import FILL, add, small


class Gate:
    """An LLM that answers each call only when it is let through; `began` has who asked, the first words of each."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self._free = threading.Semaphore(0)

    def __call__(self, messages: Sequence[ChatMessage]) -> str:
        said = messages[1].content.split('"text": "' if '"text": "' in messages[1].content else '"text":"')[-1]
        self.began.append(said.split(".")[0])
        assert self._free.acquire(timeout=30)
        return facts()

    def let(self, number: int) -> None:
        self._free.release(number)


def held(world: World, tenant: str, user: str, number: int = 1) -> list[Job]:
    """Adds of one speaker that are due at once."""
    jobs = []
    for _ in range(number):
        world.clock.advance(0.001)
        now, scope = world.clock.now(), Scope(tenant, user_id=user)
        job = Job(str(uuid.uuid4()), scope, JobState.PENDING, now, now, request={"infer": True}, error="held")
        jobs.append(world.ledger.put_job(job, [Message(MessageRef(job.id, 0), scope, "user", f"{user}. tea", now)]))
    world.clock.advance(1)
    return jobs


def runs(world: World) -> Counter[str]:
    """How many jobs of each tenant run."""
    return Counter(tenant for tenant, _ in world.services.ingest_worker._running.values())


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.let(9999)


@pytest.fixture
def world(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(ingest_worker, "_LOOK_S", 0.05)
    world = unqueued(tmp_path, gate)
    yield world
    gate.let(9999)
    world.services.ingest_worker.wait(30)


def test_the_first_turn_begins_an_add_of_each_tenant_and_speaker_whatever_waits_before_it(world: World) -> None:
    held(world, "evil", "u", 300)
    held(world, "evil", "second")
    held(world, "default", "victim")
    assert world.services.ingest_worker.turn()
    assert runs(world) == {"evil": 2, "default": 1}


def test_one_heavy_add_runs_at_a_time(world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier version has imported adds with millions of values."""
    monkeypatch.setattr(ingest_worker, "_HEAVY_VALUES", 5)
    worker = world.services.ingest_worker
    for number in range(3):
        (job,) = held(world, "evil", f"heavy{number}")
        assert world.ledger.update_job(replace(job, request={"zz": [[]] * 9}), held=job)
    held(world, "default", "light")
    for done in range(3):
        worker.turn()
        until(lambda done=done: len(gate.began) == 2 + done)  # type: ignore[misc]
        worker.turn()
        assert runs(world)["evil"] == 1
        gate.let(1 if done else 2)
        until(lambda: not runs(world))


def test_what_runs_holds_nothing_that_the_look_has_read(world: World) -> None:
    (job,) = held(world, "default", "light")
    assert world.ledger.update_job(replace(job, request={"prompt": "p"}), held=job)
    world.services.ingest_worker.turn()
    (one,) = world.services.ingest_worker._running.values()
    assert [job.request for job in one[1]._args[1:]] == [{}]  # type: ignore[attr-defined]


def test_a_tenant_may_have_all_slots_alone_and_at_most_three_if_others_wait(world: World, gate: Gate) -> None:
    for number in range(8):
        held(world, "evil", f"u{number}")
    world.services.ingest_worker.turn()
    assert runs(world) == {"evil": 4}
    held(world, "default", "victim")
    until(lambda: len(gate.began) == 4)
    for _ in range(3):
        world.services.ingest_worker.turn()
        gate.let(1)
        until(lambda: sum(runs(world).values()) == 3)
        world.services.ingest_worker.turn()
        assert runs(world) == {"evil": 3, "default": 1}
        until(lambda: "victim" in gate.began)


def test_tenants_that_have_the_same_slots_are_served_one_after_the_other(world: World, gate: Gate) -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        for number in range(3):
            held(world, name, f"{name}{number}")
    worker = world.services.ingest_worker
    for done in range(8):
        worker.turn()
        until(lambda done=done: len(gate.began) == 4 + done)  # type: ignore[misc]
        gate.let(1)
        until(lambda: sum(runs(world).values()) == 3)
    assert {name[0] for name in gate.began[:6]} == set("abcdef")
    assert Counter(name[0] for name in gate.began).most_common()[0][1] <= 3


def test_the_adds_of_one_speaker_keep_their_order(world: World, gate: Gate) -> None:
    jobs = held(world, "default", "alice", 5)
    held(world, "default", "bob", 5)
    gate.let(9999)
    for done in range(1, 6):
        world.services.ingest_worker.turn()
        world.services.ingest_worker.wait(30)
        states = [world.ledger.job(job.tenant, job.id) for job in jobs]
        assert [one is not None and one.finished for one in states] == [True] * done + [False] * (5 - done)


def test_a_long_add_gives_its_slot_back_after_each_call_of_the_llm_if_others_wait(world: World, gate: Gate) -> None:
    world = small(world)
    worker = world.services.ingest_worker
    for user in ("u0", "u1", "u2", "u3"):
        add(world, [f"{user} says one.{FILL}", f"{user} says two.{FILL}"], Scope("evil", user_id=user))
    world.clock.advance(1)
    worker.turn()
    until(lambda: len(gate.began) == 4)
    assert runs(world) == {"evil": 4}
    held(world, "default", "victim")
    worker.turn()
    gate.let(1)
    until(lambda: sum(runs(world).values()) == 3)
    assert len(gate.began) == 4, "its second call was not made"
    worker.turn()
    until(lambda: len(gate.began) == 5)
    assert gate.began[-1] == "victim"
    gate.let(9999)
    while worker.turn():
        world.clock.advance(0.001)
    assert sorted(gate.began[5:]) == [f"u{number} says two" for number in range(4)], "no call was repeated"
    ended = [job.state for job in world.ledger.jobs("evil", limit=9)[0]]
    assert ended == [JobState.SUCCEEDED] * 4


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """The worker as its process runs it."""
    stopped = threading.Event()
    work = RepeatedWork("adds", world.services.ingest_worker.turn, every_s=0.2)
    thread = threading.Thread(target=work.run, args=(stopped,))
    thread.start()
    yield
    stopped.set()
    thread.join(30)


def test_when_an_add_ends_the_next_one_of_its_speaker_begins_at_once(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_worker, "_LOOK_S", 30.0)
    jobs = held(world, "default", "alice", 20)
    gate.let(9999)
    began = time.monotonic()
    with at_work(world):
        until(lambda: len(gate.began) == len(jobs))
    assert time.monotonic() - began < 20


def test_an_add_that_cannot_be_run_is_not_tried_without_a_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held(world, "default", "alice", 2)
    tried: list[str] = []
    monkeypatch.setattr(world.services.ingest, "run", lambda _tenant, job_id, **_: tried.append(job_id))
    with at_work(world):
        time.sleep(1.0)
    assert 1 <= len(tried) <= 10
