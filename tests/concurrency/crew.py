"""Long-lived processes that each run a piece of work at the same moment, as often as a test wants."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from forgetless.domain.backoff import Backoff
from tests.quick_botocore import parse_descriptions_once

__all__ = ["FEW_SHARDS", "Crew", "serving_crew", "small_transactions"]

#: Longer than any piece of work takes on a busy machine.
PATIENCE_S = 100.0
#: Counters of an entity's total, instead of eight: writers meet in one of them, and find the other missing.
FEW_SHARDS = 2


class Store(Protocol):
    """What is raced on: a ledger, or a client of a queue."""

    def close(self) -> None: ...


Open = Callable[[], Store]
#: Called with the store, the number of the process and further arguments; what it returns and takes can be pickled.
Work = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    """What nobody expected in a process."""

    trace: str


class Crew:
    """`size` processes."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def together(
        self, opens: Sequence[Open], work: Work, *args: Any, seed: int = 0, left: Callable[[int], None] | None = None
    ) -> list[Any]:
        """What `work(store, number, *args)` gave in as many processes as `opens` has stores; all begin together.

        `left` hears of each that has done its work.
        """
        pipes = self._pipes[: len(opens)]
        for number, (pipe, open_) in enumerate(zip(pipes, opens, strict=True)):
            pipe.send((len(opens), number, open_, work, args, seed))
        results: dict[int, Any] = {}
        give_up = time.monotonic() + PATIENCE_S
        while len(results) < len(pipes):
            ready = wait([pipe for number, pipe in enumerate(pipes) if number not in results], timeout=5)
            assert time.monotonic() < give_up, f"only processes {sorted(results)} have come back"
            for pipe in ready:
                number = pipes.index(pipe)  # type: ignore[arg-type]
                results[number] = pipe.recv()  # type: ignore[union-attr]
                if left is not None:
                    left(number)
        failures = [result.trace for result in results.values() if isinstance(result, _Failure)]
        assert not failures, failures[0]
        return [results[number] for number in range(len(pipes))]


@contextmanager
def serving_crew(size: int) -> Iterator[Crew]:
    """A crew of fresh processes; they end with it."""
    context = multiprocessing.get_context("spawn")
    barriers = {count: context.Barrier(count) for count in range(1, size + 1)}
    ours, processes = [], []
    for _ in range(size):
        mine, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, barriers), daemon=True))
        ours.append(mine)
    for process in processes:
        process.start()
    try:
        yield Crew(ours)
    finally:
        for pipe, process in zip(ours, processes, strict=True):
            pipe.send(None)
            process.join(10)
            process.kill()
            pipe.close()


@contextmanager
def small_transactions() -> Iterator[None]:
    """Let a transaction of DynamoDB hold a few items only, so that little work is a staged commit already."""
    from forgetless.adapters.ledger_dynamodb import staged_commit  # noqa: PLC0415 - boto3's part is loaded later

    before, staged_commit._MOST_ACTIONS = staged_commit._MOST_ACTIONS, 8
    try:
        yield
    finally:
        staged_commit._MOST_ACTIONS = before


def _serve(pipe: Connection, barriers: dict[int, Any]) -> None:
    _hurry()
    parse_descriptions_once()
    kept: tuple[bytes, Store] | None = None
    while (order := pipe.recv()) is not None:
        count, number, open_, work, args, seed = order
        try:
            name = pickle.dumps(open_)
            if kept is None or kept[0] != name:
                if kept is not None:
                    kept[1].close()
                kept = (name, open_())
            random.seed(f"{seed} {number}")
            barriers[count].wait(PATIENCE_S)
            pipe.send(work(kept[1], number, *args))
        except BaseException:  # noqa: BLE001 - it must reach the test
            pipe.send(_Failure(traceback.format_exc()))
    if kept is not None:
        kept[1].close()


def _hurry() -> None:
    """Let the DynamoDB ledger hardly wait, which changes nothing where a turnstile draws, and its writers meet."""
    from forgetless.adapters.ledger_dynamodb import client, item_keys, staged_commit  # noqa: PLC0415 - boto3's part comes later

    item_keys.TOTAL_SHARDS = FEW_SHARDS
    client.BACKOFF = Backoff(first_s=0.001, longest_s=0.001)
    staged_commit.STALLED_S = 0.5
