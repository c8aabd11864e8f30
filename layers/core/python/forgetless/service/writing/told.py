"""Told: reads a memory with the messages of its context, as a recipe wants them.

A memory says of itself which messages stand in its row, so that its row can be made again from the ledger alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NO_NAMES
from forgetless.domain.recipe import Recipe, Told
from forgetless.domain.said import Said
from forgetless.service.known_names import KnownInScope

__all__ = ["told_of"]


def told_of(recipe: Recipe, memory: Memory, talk: Mapping[MessageRef, Message], known: KnownInScope) -> Told:
    """The memory, its context as far as it is in `talk`, and what is known of the names in its scope."""
    context = [ref for ref in memory.context if ref in talk]
    if not _is_message(memory):
        sources = recipe.read([talk[ref] for ref in context], known.prefixes)
        own = Said(memory.text, None, memory.attributed_to or memory.role)
        return Told(own, memory.created_at, tuple(sources), known=known.names)
    place = MessageRef(memory.job_id, memory.position)
    own_message = Message(
        place, memory.scope, memory.role or "", memory.text, memory.created_at, name=memory.actor_id
    )
    following = [ref for ref in context if ref.job_id == place.job_id and ref.position > place.position][:1]
    previous = [ref for ref in context if ref not in following]
    read = recipe.read([*(talk[ref] for ref in previous), own_message, *(talk[ref] for ref in following)], known.prefixes)
    return Told(
        read[len(previous)],
        memory.created_at,
        tuple(read[: len(previous)]),
        read[-1] if following else None,
        known=NO_NAMES,
    )


def _is_message(memory: Memory) -> bool:
    """Whether its text is that of one message, and not what an LLM said of its sources."""
    own = MessageRef(memory.job_id, memory.position)
    return memory.sources in ((), (own,)) and own not in memory.context
