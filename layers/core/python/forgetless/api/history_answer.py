"""The answer with a memory's history in both dialects: if it is too long for one request, it continues in the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.answer_size import cut_headers, whole_or_shortened
from forgetless.api.json_response import JsonList, json_bytes, sent_bytes
from forgetless.domain.limits import ANSWER_BYTES, INT64
from forgetless.domain.memory import Memory
from forgetless.service.requests import HistoryItem

__all__ = ["NEXT_VERSION_HEADER", "FromVersion", "history_answer", "superseding_fields"]

#: The response header with the version at which the next answer begins; it is absent if nothing follows.
NEXT_VERSION_HEADER = "X-Next-Version"

#: How many portions of half a megabyte of a history one request reads.
_MOST_PORTIONS = 32

#: The query parameter that asks for the history from this version on.
FromVersion = Annotated[int, Query(ge=1, lt=INT64.stop)]


def history_answer(
    portions: Iterable[Sequence[HistoryItem]],
    shown: Callable[[HistoryItem], dict[str, Any]],
    *,
    newest: Callable[[], Memory | None],
) -> Response:
    """The events of the portions, oldest first, as many as fit. No more portions are read than one request may read."""
    answer = JsonList()
    left = ANSWER_BYTES
    for number, portion in enumerate(portions):
        for item in portion:
            event = shown(item)
            body = json_bytes(event if answer.count else whole_or_shortened(event))
            left -= sent_bytes(body) + 1
            if answer.count and (left < 0 or number >= _MOST_PORTIONS):
                left_out = (newest() or item.memory).version - item.memory.version + 1
                cut = cut_headers(answer.count, answer.count + left_out)
                return answer.response({**cut, NEXT_VERSION_HEADER: str(item.memory.version)})
            answer.add(body)
    return answer.response()


def superseding_fields(item: HistoryItem) -> dict[str, Any]:
    """What an event says of a memory that is superseded after it: by which memory, and because of which messages."""
    if item.memory.superseded_by is None:
        return {}
    messages = [{"event_id": ref.job_id, "position": ref.position} for ref in item.superseding]
    return {"superseded_by": item.memory.superseded_by, "superseded_by_messages": messages}
