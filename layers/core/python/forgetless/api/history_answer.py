"""The answer with a memory's history in both dialects: if it is too long for one answer, it continues in the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.answer_size import bare_list, fitting
from forgetless.domain.limits import INT64
from forgetless.service.requests import HistoryItem

__all__ = ["NEXT_VERSION_HEADER", "FromVersion", "history_answer", "superseding_fields"]

#: The response header with the version at which the next answer begins; it is absent if nothing follows.
NEXT_VERSION_HEADER = "X-Next-Version"

#: The query parameter that asks for the history from this version on.
FromVersion = Annotated[int, Query(ge=1, lt=INT64.stop)]


def history_answer(
    items: Sequence[HistoryItem], from_version: int, shown: Callable[[HistoryItem], dict[str, Any]]
) -> Response:
    """The events from a version on, oldest first, as many as fit."""
    wanted = [item for item in items if item.memory.version >= from_version]
    answered = [shown(item) for item in wanted]
    fit = len(fitting(answered))
    following = {NEXT_VERSION_HEADER: str(wanted[fit].memory.version)} if fit < len(wanted) else {}
    return bare_list(answered, headers=following)


def superseding_fields(item: HistoryItem) -> dict[str, Any]:
    """What an event says of a memory that is superseded after it: by which memory, and because of which messages."""
    if item.memory.superseded_by is None:
        return {}
    messages = [{"event_id": ref.job_id, "position": ref.position} for ref in item.superseding]
    return {"superseded_by": item.memory.superseded_by, "superseded_by_messages": messages}
