"""The engine around the choice of a batch: sharing, fairness, cancelling, limits and failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder.batches import Limits
from embedder.engine import Engine, Ticket
from embedder.errors import DeadlineError, InferenceError, OverloadedError
from embedder.metrics import Metrics

BAD = 666


class HeldModel:
    """Computes (first id, length) for each row once it is let go; row with the id BAD fails its batch."""

    def __init__(self, *, held: bool = True, mixes_tasks: bool = False) -> None:
        self.mixes_tasks = mixes_tasks
        self.batches: list[list[tuple[int, ...]]] = []
        self.tasks: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def run(self, rows: Sequence[Sequence[int]], task: str | Sequence[str] = "") -> NDArray[np.float32]:
        self.batches.append([tuple(row) for row in rows])
        self.tasks.append([task] if isinstance(task, str) else list(task))
        self.entered.release()
        assert self.gate.wait(10)
        if any(BAD in row for row in rows):
            raise RuntimeError("bad row")
        return np.array([[row[0], len(row)] for row in rows], np.float32)


def with_engine(
    model: HeldModel, body: Callable[[Engine], Awaitable[None]], *, tokens: int = 100, queue_tokens: int = 1000
) -> Metrics:
    """Run ``body`` on an engine of one worker whose first batch is held until the gate opens."""
    metrics = Metrics()

    async def main() -> None:
        engine = Engine(
            model,  # type: ignore[arg-type]
            metrics,
            dimensions=2,
            limits=Limits(tokens=tokens),
            threads=1,
            queue_tokens=queue_tokens,
        )
        try:
            await body(engine)
        finally:
            model.gate.set()
            engine.close()

    asyncio.run(main())
    return metrics


async def occupy(engine: Engine, model: HeldModel) -> Ticket:
    """Let the only worker take a batch, so that all else waits in the line."""
    ticket = engine.submit([[1]])
    await asyncio.to_thread(model.entered.acquire)
    return ticket


def test_vectors_come_in_the_order_of_the_rows() -> None:
    async def body(engine: Engine) -> None:
        ticket = engine.submit([[5, 5, 5], [7], [9] * 60])
        await ticket.done
        assert ticket.vectors.tolist() == [[5, 3], [7, 1], [9, 60]]
        assert ticket.queued_at <= ticket.started_at <= ticket.finished_at

    with_engine(HeldModel(held=False), body)


def test_what_waits_while_a_batch_runs_goes_together() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        tickets = [engine.submit([[number, 0]]) for number in (2, 3, 4)]
        model.gate.set()
        await asyncio.gather(*(ticket.done for ticket in tickets))

    with_engine(model, body)
    assert model.batches == [[(1,)], [(2, 0), (3, 0), (4, 0)]]


def test_identical_rows_in_flight_are_computed_once() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        first = await occupy(engine, model)
        tickets = [engine.submit([[1], [2, 2]]), engine.submit([[2, 2], [1]])]
        model.gate.set()
        await asyncio.gather(first.done, *(ticket.done for ticket in tickets))
        assert tickets[0].vectors.tolist() == [[1, 1], [2, 2]]
        assert tickets[1].vectors.tolist() == [[2, 2], [1, 1]]

    with_engine(model, body)
    assert model.batches == [[(1,)], [(2, 2)]]


def test_identical_rows_of_different_groups_are_not_shared() -> None:
    model = HeldModel(held=False)

    async def body(engine: Engine) -> None:
        tickets = [engine.submit([[1]], "query"), engine.submit([[1]], "passage")]
        await asyncio.gather(*(ticket.done for ticket in tickets))

    with_engine(model, body)
    assert model.batches == [[(1,)], [(1,)]]


@pytest.mark.parametrize(("mixes", "batches"), [(True, 1), (False, 2)])
def test_rows_of_different_tasks_share_a_batch_where_the_model_takes_them(mixes: bool, batches: int) -> None:
    model = HeldModel(mixes_tasks=mixes)

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        tickets = [engine.submit([[2, 0]], "query"), engine.submit([[2, 0]], "passage")]
        model.gate.set()
        await asyncio.gather(*(ticket.done for ticket in tickets))

    with_engine(model, body)
    assert len(model.batches) == 1 + batches
    assert [task for tasks in model.tasks[1:] for task in tasks] == ["query", "passage"]


def test_a_short_request_does_not_wait_for_a_long_one() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        long = engine.submit([[100 + number] * 10 for number in range(20)])
        short = engine.submit([[7] * 10])
        model.gate.set()
        await asyncio.gather(long.done, short.done)

    with_engine(model, body, tokens=20)
    assert (7,) * 10 in model.batches[1]
    assert len(model.batches) > 10


def test_a_long_request_is_not_overtaken_for_ever() -> None:
    model = HeldModel(held=False)

    async def body(engine: Engine) -> None:
        long = engine.submit([[100 + number] * 10 for number in range(10)])
        later = 0
        while not long.done.done():
            # One more short request after each that was answered: a queue that is never empty.
            later += 1
            await engine.submit([[1000 + later] * 10]).done
            assert later < 100
        await long.done

    with_engine(model, body, tokens=10)


def test_texts_of_a_cancelled_request_are_not_computed() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        gone, kept = engine.submit([[2], [3]]), engine.submit([[3]])
        assert engine.waiting_tokens == 2
        engine.cancel(gone)
        assert engine.waiting_tokens == 1
        model.gate.set()
        await kept.done
        assert gone.done.cancelled()

    with_engine(model, body)
    assert model.batches == [[(1,)], [(3,)]]


def test_a_cancelled_text_can_be_asked_for_again() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        engine.cancel(engine.submit([[2], [2]]))
        again = engine.submit([[2]])
        model.gate.set()
        await again.done
        assert again.vectors.tolist() == [[2, 1]]

    with_engine(model, body)


def test_an_expired_request_is_told_so_and_not_computed() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        first = await occupy(engine, model)
        late = engine.submit([[2]])
        engine.expire(late)
        model.gate.set()
        with pytest.raises(DeadlineError):
            await late.done
        await first.done

    metrics = with_engine(model, body)
    assert model.batches == [[(1,)]]
    assert metrics.registry.get_sample_value("embedder_expired_total") == 1


def test_a_full_line_refuses_with_a_time_to_come_back() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        engine.submit([[2] * 60])
        with pytest.raises(OverloadedError) as refused:
            engine.submit([[3] * 50])
        assert refused.value.retry_after >= 1
        assert engine.waiting_tokens == 60

    metrics = with_engine(model, body, queue_tokens=100)
    assert metrics.registry.get_sample_value("embedder_rejected_total") == 1


def test_a_request_larger_than_the_line_is_let_in_when_half_is_free() -> None:
    model = HeldModel(held=False)

    async def body(engine: Engine) -> None:
        ticket = engine.submit([[number] * 10 for number in range(30)])
        await ticket.done

    with_engine(model, body, queue_tokens=100)


def test_a_bad_row_fails_alone() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        bad, good = engine.submit([[BAD]]), engine.submit([[2]])
        model.gate.set()
        await good.done
        assert good.vectors.tolist() == [[2, 1]]
        with pytest.raises(InferenceError):
            await bad.done

    with_engine(model, body)


def test_padding_and_rows_are_counted() -> None:
    model = HeldModel()

    async def body(engine: Engine) -> None:
        await occupy(engine, model)
        ticket = engine.submit([[2] * 10, [3] * 8])
        model.gate.set()
        await ticket.done

    sample = with_engine(model, body).registry.get_sample_value
    assert sample("embedder_tokens_total") == 19
    assert sample("embedder_padding_tokens_total") == 2
    assert sample("embedder_batch_rows_sum") == 3
