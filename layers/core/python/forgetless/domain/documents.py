"""Documents: small records beside the memories, such as a project's settings, a webhook or feedback on a memory."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any, TypeVar

Item = TypeVar("Item")

__all__ = ["OF_MEMORIES", "Document", "in_turn"]

#: Kinds of documents that belong to a memory and have its id. Who may see the memory may see them, and nobody else.
OF_MEMORIES = frozenset({"feedback"})


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON object, identified by (tenant, kind, id); `version` counts its writes from 1.

    `due_at` (a timestamp) marks it as work to be done: sweep finds it when that time has come.
    """

    tenant: str
    kind: str
    id: str
    body: Mapping[str, Any]
    created_at: str
    version: int = 1
    due_at: str | None = None


def in_turn(lists: Sequence[Sequence[Item]], limit: int) -> list[Item]:
    """Up to `limit` items: the first of every list, then the second of every list, and so on.

    If there are more lists than that, chance says which ones come, so that none is always left out.
    """
    some = random.sample(lists, len(lists)) if len(lists) > limit else lists
    turns = chain.from_iterable(zip_longest(*some))
    return list(islice((item for item in turns if item is not None), limit))
