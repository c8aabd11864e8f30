"""The emulator's SQS keeps what it has acknowledged, whatever it is doing when SIGKILL comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from botocore.exceptions import HTTPClientError

from local.emulator.sqs.messages import Outgoing
from local.emulator.sqs.store import Store
from tests.faults.queue_process import QueueProcess
from tests.faults.queue_scenarios import SCENARIOS, Queue, Scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QueueProcess]:
    made = QueueProcess(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_killed_at_any_point_of_a_call_the_queue_is_whole(server: QueueProcess, name: str) -> None:
    scenario = SCENARIOS[name]
    assert server.start()
    points = _run(server, scenario, "counting", None)
    assert points[-2:] == ["answer: http.response.start", "answer: http.response.body"]
    for number, point in enumerate(points):
        _run(server, scenario, f"{number}-{point.split()[0].strip(':')}", number)


def _run(server: QueueProcess, scenario: Scenario, name: str, kill_at: int | None) -> list[str]:
    """The scenario in a queue of its own, killed at a point or right after its answer; returns the points passed."""
    queue = Queue(server, name, scenario.max_receives)
    before = scenario.setup(queue)
    server.arm(-1 if kill_at is None else kill_at)
    points: list[str] = []
    if kill_at is None:
        scenario.action(queue, before)
        points = server.points()
        server.kill()
    else:
        # Half an answer, which boto3 takes for an empty one, is no answer.
        with contextlib.suppress(HTTPClientError, KeyError):
            scenario.action(queue, before)
        server.died()
    assert server.start()
    scenario.check(queue, before)
    return points


STARTS = {"a new folder": False, "a folder with messages": True}


@pytest.mark.parametrize("filled", STARTS.values(), ids=list(STARTS))
def test_killed_at_any_point_of_its_start_it_starts_again(tmp_path: Path, filled: bool) -> None:
    points: list[str] = []
    for number in count():
        server = QueueProcess(tmp_path / str(number))
        if filled:
            assert server.start()
            Queue(server, "q").send("a1", "a2", "b1")
            server.kill()
        served = server.start(None if number == 0 else number - 1)
        points = points or server.points()
        if served:
            assert number in {0, len(points) + 1}
            server.kill()
        assert server.start()
        queue = Queue(server, "q")
        queue.send("a2", "a3")
        wanted = {"a": ["a1", "a2", "a3"], "b": ["b1"]} if filled else {"a": ["a2", "a3"]}
        assert queue.drain() == wanted
        server.close()
        if number == len(points):
            break
    assert "PRAGMA user_version = 1" in points


def test_a_batch_of_the_poller_is_deleted_in_one_transaction(tmp_path: Path) -> None:
    store = Store(tmp_path / "queues.sqlite3")
    store.put_queue("q", {})
    store.send("q", [Outgoing("a"), Outgoing("b")])
    handles = [message.handle for message in store.receive("q", 10)]
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)
    store.delete("q", handles)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "BEGIN", "DELETE", "DELETE", "COMMIT"]
    store.close()
