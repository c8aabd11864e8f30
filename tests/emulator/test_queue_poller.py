"""The poller of a queue on a real store whose clock the test moves; the function is a list of answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from local.emulator.invocation import InvokeResult, ThrottledError
from local.emulator.specs import Place, QueueEventSpec
from local.emulator.sqs.messages import Outgoing
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from local.emulator.triggers.queue_poller import QueuePoller
from tests.emulator.fidelity import documented

OK = InvokeResult(b"null")
FAILED = InvokeResult(b"{}", error="Unhandled")
VISIBILITY = 100


class Scene:
    """A queue with dead letters, a function that eats from it, and a clock that stands still."""

    def __init__(self, folder: Path, **event: Any) -> None:
        self.now = 1_000_000.0
        self.service = QueueService(Store(folder / "queues.sqlite3", clock=lambda: self.now))
        self.batches: list[list[str]] = []
        self.answer: Callable[[list[dict[str, Any]]], InvokeResult | None] = lambda _: OK
        self.lines: list[str] = []
        spec = QueueEventSpec("Eat", "Work", **event)
        self.poller = QueuePoller(spec, self.service, self, place=Place(), log=self.lines.append)

    async def open(self, visibility: float = VISIBILITY) -> None:
        policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:x:1:Dead", "maxReceiveCount": 3})
        await self.service.put_queue("Dead", {})
        await self.service.put_queue("Work", {"VisibilityTimeout": str(visibility), "RedrivePolicy": policy})

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        records = json.loads(payload)["Records"]
        self.batches.append([record["body"] for record in records])
        answer = self.answer(records)
        if answer is None:
            raise ThrottledError("no environment")
        future = asyncio.get_running_loop().create_future()
        future.set_result(answer)
        return future

    async def send(self, *bodies: str) -> None:
        await self.service.send("Work", [Outgoing(body) for body in bodies])

    async def turn(self) -> None:
        """Take one batch and settle it; then let the visibility time-out pass."""
        await self.poller.settle(await self.poller.collect())
        self.now += VISIBILITY

    async def depth(self, name: str) -> int:
        return sum((await self.service.run(lambda store: store.depths(name))).values())


Play = Callable[..., None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scene in an event loop."""

    def run(act: Callable[[Scene], Awaitable[None]], visibility: float = VISIBILITY, **event: Any) -> None:
        async def main() -> None:
            scene = Scene(tmp_path, **event)
            await scene.open(visibility)
            try:
                await act(scene)
            finally:
                scene.service.close()

        asyncio.run(main())

    return run


def report_bad(records: list[dict[str, Any]]) -> InvokeResult:
    failed = [{"itemIdentifier": record["messageId"]} for record in records if record["body"] == "bad"]
    return InvokeResult(json.dumps({"batchItemFailures": failed}).encode())


@documented("Lambda: services-sqs-errorhandling")
def test_a_batch_that_succeeds_is_deleted_whole(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.send("a", "b")
        await scene.turn()
        assert (scene.batches, await scene.depth("Work")) == ([["a", "b"]], 0)

    play(act)


@documented("Lambda: with-sqs-filtering")
def test_what_fits_no_filter_leaves_the_queue_unseen(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.send('{"kind": "order"}', "plain", '{"kind": "refund"}')
        await scene.turn()
        assert scene.batches == [['{"kind": "order"}']]
        assert await scene.depth("Work") == 0
        assert scene.lines == ["FILTER Work: 2 of 3 messages fit no filter"]

    play(act, filters=({"body": {"kind": ["order"]}},))


@documented("Lambda: services-sqs-errorhandling")
def test_only_reported_messages_come_back_and_end_in_the_dead_letters(play: Play) -> None:
    async def act(scene: Scene) -> None:
        scene.answer = report_bad
        await scene.send("good", "bad")
        for _ in range(3):
            await scene.turn()
        assert scene.batches == [["good", "bad"], ["bad"], ["bad"]]
        assert await scene.service.receive("Work") == []
        assert (await scene.depth("Work"), await scene.depth("Dead")) == (0, 1)

    play(act, report_failures=True)


@documented("Lambda: services-sqs-errorhandling")
def test_an_error_brings_the_whole_batch_back_until_it_is_dead(play: Play) -> None:
    async def act(scene: Scene) -> None:
        scene.answer = lambda _: FAILED
        await scene.send("a", "b")
        for _ in range(3):
            await scene.turn()
        assert scene.batches == [["a", "b"]] * 3
        assert await scene.service.receive("Work") == []
        assert await scene.depth("Dead") == 2

    play(act)


@documented("Lambda: services-sqs-errorhandling")
def test_a_failed_message_is_hidden_until_its_visibility_timeout_ends(play: Play) -> None:
    async def act(scene: Scene) -> None:
        scene.answer = lambda _: FAILED
        await scene.send("a")
        await scene.poller.settle(await scene.poller.collect())
        assert await scene.service.receive("Work") == []
        scene.now += VISIBILITY
        assert [message.body for message in await scene.service.receive("Work")] == ["a"]

    play(act)


@documented("Lambda: invocation-eventsourcemapping")
def test_a_batching_window_collects_what_comes_within_it(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.send("a")
        batch = asyncio.ensure_future(scene.poller.collect())
        while not scene.service.waiting["Work"]:
            await asyncio.sleep(0.01)
        await scene.send("b")
        assert [message.body for message in await batch] == ["a", "b"]

    play(act, batch_size=2, window=60.0)


@documented("Lambda: invocation-eventsourcemapping")
def test_a_batching_window_that_ends_sends_what_there_is(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.send("a")
        assert [message.body for message in await scene.poller.collect()] == ["a"]

    play(act, batch_size=10, window=0.05)


@documented("Lambda: invocation-eventsourcemapping")
def test_an_event_never_grows_beyond_six_megabytes(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.send(*(f"{number}" + "x" * 1_000_000 for number in range(10)))
        await scene.turn()
        assert [[body[0] for body in batch] for batch in scene.batches] == [list("012345"), list("6789")]
        assert await scene.depth("Work") == 0

    play(act, batch_size=1000, window=60.0)


@documented("Lambda: services-sqs-errorhandling")
def test_a_throttled_batch_is_tried_again_and_then_left_to_the_visibility_timeout(play: Play) -> None:
    async def act(scene: Scene) -> None:
        scene.answer = lambda _: None
        await scene.send("a")
        await scene.poller.settle(await scene.poller.collect())
        assert len(scene.batches) > 1
        assert scene.lines == ["BATCH Work: throttled until the visibility time-out"]
        assert await scene.depth("Work") == 1

    play(act, visibility=0.3)
