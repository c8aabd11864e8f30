"""Memories, results and history in the form of mem0's self-hosted server, with the version in addition."""

from __future__ import annotations

from typing import Any

from forgetless.api.answer_size import all_or_shortened
from forgetless.api.history_answer import superseding_fields
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import Dialect, labels
from forgetless.ports.request_ledger import Entity
from forgetless.service.requests import AddedMemory, AddOutcome, HistoryItem, ScoredMemory

__all__ = [
    "add_answer",
    "entity_item",
    "get_item",
    "history_item",
    "list_item",
    "raw_item",
    "search_item",
]

#: Fields that are shown only if they have a value; `superseded_by` is an addition of Forgetless.
_LABELS = labels(Dialect.SELFHOSTED, "actor_id", "role", "attributed_to", "expiration_date", "superseded_by")


def add_answer(outcome: AddOutcome) -> dict[str, Any]:
    """The results, the id of the job, and `indexed` or `extraction` if they are not as usual."""
    item = _extracted_item if outcome.extraction == "llm" else _verbatim_item
    results = all_or_shortened([item(added) for added in outcome.results])
    answer: dict[str, Any] = {"results": results, "event_id": outcome.job.id}
    if not outcome.indexed:
        answer["indexed"] = False
    if outcome.extraction == "none":
        answer["extraction"] = "none"
    return answer


def get_item(memory: Memory) -> dict[str, Any]:
    """One memory in the answer of GET, with a score that is always null."""
    return {**_head(memory), "score": None, **_times(memory), **_labels(memory)}


def list_item(memory: Memory) -> dict[str, Any]:
    """One memory in the list of a scope."""
    return {**_head(memory), **_times(memory), **_labels(memory)}


def search_item(found: ScoredMemory) -> dict[str, Any]:
    """One hit, with `score_details` if the request asked for an explanation."""
    memory = found.memory
    item = {**_head(memory), "score": found.score, **_times(memory), **_labels(memory)}
    if found.details is not None:
        item["score_details"] = found.details.figures()
    return item


def raw_item(memory: Memory) -> dict[str, Any]:
    """One memory in the list of all scopes, in which every key is always present."""
    scope = memory.scope
    return {
        "id": memory.id,
        "memory": memory.text,
        "user_id": scope.user_id or None,
        "agent_id": scope.agent_id or None,
        "run_id": scope.run_id or None,
        "hash": memory.hash,
        "version": memory.version,
        "expiration_date": memory.expiration_date,
        "metadata": _metadata(memory),
        **_times(memory),
    }


def history_item(item: HistoryItem) -> dict[str, Any]:
    """One event of a memory's history."""
    return {
        "id": item.id,
        "memory_id": item.memory_id,
        "version": item.memory.version,
        "old_memory": item.old_memory,
        "new_memory": item.new_memory,
        "event": item.event.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "is_deleted": item.is_deleted,
        "actor_id": item.actor_id,
        "role": item.role,
        **superseding_fields(item),
    }


def entity_item(entity: Entity) -> dict[str, Any]:
    """One user, agent or run with its totals."""
    return {
        "id": entity.id,
        "type": entity.kind,
        "total_memories": entity.total_memories,
        "created_at": entity.created_at,
        "updated_at": entity.updated_at,
        **({"totals_pending": True} if entity.totals_pending else {}),
    }


def _extracted_item(added: AddedMemory) -> dict[str, Any]:
    return {"id": added.id, "memory": added.memory, "event": added.event, "version": added.version}


def _verbatim_item(added: AddedMemory) -> dict[str, Any]:
    return {**_extracted_item(added), "actor_id": added.actor_id, "role": added.role}


def _head(memory: Memory) -> dict[str, Any]:
    return {
        "id": memory.id,
        "memory": memory.text,
        "hash": memory.hash,
        "version": memory.version,
        "metadata": _metadata(memory),
    }


def _metadata(memory: Memory) -> dict[str, Any] | None:
    return dict(memory.metadata) or None


def _times(memory: Memory) -> dict[str, str]:
    return {"created_at": memory.created_at, "updated_at": memory.updated_at}


def _labels(memory: Memory) -> dict[str, str]:
    """The fields that are shown only if they have a value."""
    scope = memory.scope
    shown = {
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "run_id": scope.run_id,
        "source_job": memory.source_job,
        **{name: getattr(memory, name) for name in _LABELS},
    }
    return {name: value for name, value in shown.items() if value}
