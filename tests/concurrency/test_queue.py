"""The queue under races: a message is sent once, has one receiver at a time, keeps its order, and is never lost."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.domain.errors import QueueError
from tests.concurrency.arena import TIMES
from tests.concurrency.crew import Crew
from tests.concurrency.queues import Message, QueueInMemory, QueueOnSqs, a_job_of
from tests.fakes.queue import MemoryQueue
from tests.queue_server import serve_queues

Queue = QueueOnSqs | QueueInMemory

USERS = ("anna", "bob", "carl")
JOBS = 6


@dataclass
class Post:
    """`queue` is for the test itself; `race(work, *args)` runs `work(queue, number, *args)` several times at once."""

    queue: Queue
    race: Callable[..., list[Any]]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_queues(tmp_path_factory.mktemp("sqs") / "sqs.db") as endpoint:
        yield endpoint


@pytest.fixture(params=[("sqs", 2), ("sqs", 3), ("memory", 3)], ids=["sqs-2", "sqs-3", "memory-3"])
def post(request: pytest.FixtureRequest) -> Iterator[Post]:
    """The emulator's SQS and processes, or the queue in memory and threads."""
    kind, count = request.param
    if kind == "memory":
        queue = QueueInMemory(MemoryQueue(SystemClock(), max_receives=99))
        with ThreadPoolExecutor(count) as pool:
            yield Post(queue, lambda work, *args: list(pool.map(lambda n: work(queue, n, *args), range(count))))
        return
    crew: Crew = request.getfixturevalue("crew")
    open_ = partial(QueueOnSqs, f"q{uuid.uuid4().hex}", endpoint=request.getfixturevalue("endpoint"))
    own = open_()
    yield Post(own, partial(crew.together, [open_] * count))
    own.close()


def _send(queue: Queue, number: int, round_: int) -> None:
    """Each sends the jobs of all users, in order: the same message within five minutes is one."""
    for place in range(JOBS):
        for user in USERS:
            queue.send(a_job_of(user, JOBS * round_ + place), attempt="1")


def _work_off(queue: Queue, number: int, table: Path) -> list[str]:
    """Receive until nothing is left; finish, or sometimes give back; returns what it finished."""
    finished: list[str] = []
    while received := queue.receive():
        give_back = random.random() < 0.3
        for group in {message.group for message in received}:
            os.close(os.open(table / group, os.O_CREAT | os.O_EXCL))  # nobody else has one of the group in hand
        _check_order(received, table)
        for message in received if not give_back else ():
            (table / message.job_id).touch()
        for group in {message.group for message in received}:
            (table / group).unlink()
        for message in reversed(received):
            if give_back:
                queue.hide(message.receipt, seconds=0)
        for message in received if not give_back else ():
            queue.delete(message.receipt)
            finished.append(message.job_id)
    return finished


def _check_order(received: list[Message], table: Path) -> None:
    """Whatever was sent before in the group is done, or comes with it and before it."""
    for place, message in enumerate(received):
        user, number = message.job_id.split()
        for earlier in range(int(number)):
            before = f"{user} {earlier}"
            assert (table / before).exists() or before in [one.job_id for one in received[:place]]
        assert not (table / message.job_id).exists()


def test_each_message_is_done_once_by_one_at_a_time_and_in_order(post: Post, tmp_path: Path) -> None:
    for round_ in range(2 * TIMES):
        post.race(_send, round_)
        finished: Counter[str] = Counter()
        while found := [job_id for each in post.race(_work_off, tmp_path) for job_id in each]:
            finished += Counter(found)
        wanted = [f"{user} {JOBS * round_ + place}" for user in USERS for place in range(JOBS)]
        assert finished == dict.fromkeys(wanted, 1)


def _use(queue: Queue, number: int, receipt: str) -> None:
    queue.delete(receipt)
    with pytest.raises(QueueError):
        queue.hide(receipt, seconds=0)


def test_the_receipt_of_who_had_it_before_does_nothing(post: Post) -> None:
    post.queue.send(a_job_of("anna", 0), attempt="1")
    [first] = post.queue.receive()
    post.queue.hide(first.receipt, seconds=0)
    [second] = post.queue.receive()
    post.race(_use, first.receipt)
    assert post.queue.receive() == []
    post.queue.hide(second.receipt, seconds=0)
    [third] = post.queue.receive()
    assert (third.job_id, third.receive_count) == (second.job_id, 3)
    post.race(_use, second.receipt)
    post.queue.delete(third.receipt)
    assert post.queue.receive() == []
