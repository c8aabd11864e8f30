"""Adds the memories that exist before the load, in large batches: many users, some with many memories."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.client import Client, ToolError
from local.loadtest.conversation_texts import LANGUAGES, turn
from local.loadtest.scenario import user_name

__all__ = ["Preload", "forget", "load", "shares", "warm"]

#: Adds in parallel.
LOADERS = 2
#: The smallest batch into which an add that fails is halved.
SMALLEST_BATCH = 5
#: Searches in parallel that warm up the functions.
WARM = 8


@dataclass(frozen=True, slots=True)
class Preload:
    """The numbers of memories, of users, and of memories in one add."""

    memories: int = 10_000
    users: int = 60
    batch: int = 100

    @property
    def names(self) -> list[str]:
        """Return the users, from the one with the most memories to the one with the fewest."""
        return [user_name(self.memories, number) for number in range(min(self.users, self.memories))]


def shares(preload: Preload) -> dict[str, int]:
    """Return how many memories each user has: one each, and the rest in proportion to 1/√rank."""
    names = preload.names
    weights = [1 / (1 + place) ** 0.5 for place in range(len(names))]
    spare = preload.memories - len(names)
    counts = [1 + int(spare * weight / sum(weights)) for weight in weights]
    counts[0] += preload.memories - sum(counts)
    return dict(zip(names, counts, strict=True))


def load(client: Client, preload: Preload, progress: Callable[[int], None], *, empty: bool = False) -> int:
    """Add the missing memories and return how many were added; those that an earlier run kept are used again.

    `empty` says that there are no memories yet, so that the service is not asked.
    """
    wanted = shares(preload)
    entities = [] if empty else client.call("GET", "/entities")
    held = {entity["id"]: entity["total_memories"] for entity in entities}
    batches = []
    for name, count in wanted.items():
        if held.get(name, 0) >= count:
            progress(count)
            continue
        if name in held:
            client.delete_user(name)
        batches += [(name, texts) for texts in _batches(name, count, preload.batch)]
    added = 0
    with ThreadPoolExecutor(LOADERS) as pool:
        for size in pool.map(lambda batch: _add(client, *batch), batches):
            added += size
            progress(size)
    return added


def warm(client: Client, preload: Preload) -> None:
    """Search as many times at once as there may be environments, twice: cold starts are another measure's (burst)."""
    names = (preload.names * WARM)[:WARM]
    with ThreadPoolExecutor(WARM) as pool:
        for _ in range(2):
            list(pool.map(lambda name: client.search("Where does she live?", {"user_id": name}), names))


def forget(client: Client, preload: Preload) -> None:
    """Delete all memories of the users, also those that the load added."""
    for name in preload.names:
        client.delete_user(name)


def _batches(name: str, count: int, size: int) -> list[list[str]]:
    chance = random.Random(name)
    texts = [turn(chance, chance.choice(LANGUAGES)) for _ in range(count)]
    return [texts[start : start + size] for start in range(0, count, size)]


def _add(client: Client, user: str, texts: list[str]) -> int:
    messages = [{"role": "user", "content": text} for text in texts]
    try:
        return len(client.add(messages, user_id=user, infer=False)["results"])
    except ToolError:
        # A slow or busy machine cannot embed so many in time; nothing of a refused add was stored.
        if len(texts) <= SMALLEST_BATCH:
            raise
        middle = len(texts) // 2
        return _add(client, user, texts[:middle]) + _add(client, user, texts[middle:])
