"""Which memories a stored answer shows: when one of them is deleted, the answer goes.

Ids elsewhere in it are a client's words, such as metadata. What became of memories that they name is none of its
business.
"""

from __future__ import annotations

import json
from typing import Any

from forgetless.domain.memory import MEMORY_ID

__all__ = ["shown_ids"]

_NAMES = ("id", "memory_id")


def shown_ids(body: str | None) -> set[str]:
    """The ids of the memories in an answer: its own, those of its items, or those of its `results`.

    Of a text that is no JSON, which no route answers, every id counts.
    """
    try:
        answer = json.loads(body or "{}")
    except ValueError:
        return set(MEMORY_ID.findall(body or ""))
    results = answer.get("results") if isinstance(answer, dict) else answer
    found = {_id_of(item) for item in [answer, *(results if isinstance(results, list) else ())]}
    return {id_ for id_ in found if isinstance(id_, str) and MEMORY_ID.fullmatch(id_)}


def _id_of(item: Any) -> Any:
    return next((item[name] for name in _NAMES if name in item), None) if isinstance(item, dict) else None
