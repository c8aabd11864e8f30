"""Told memories: reads memories with the messages of their context, as a recipe wants them.

A memory says of itself which messages stand in its row, so that its row can be made again from the ledger alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NO_NAMES, NameSet
from forgetless.domain.recipe import Recipe, Told
from forgetless.domain.said import MOST_CONTEXT_CHARS, Said
from forgetless.domain.scope import Scope
from forgetless.domain.speakers import message_of
from forgetless.service.known_names import KnownNames

__all__ = ["ToldMemories"]

#: Messages as they were said, by scope.
_Talk = dict[Scope, dict[MessageRef, Said]]


class ToldMemories:
    """Reads memories and messages for one recipe."""

    def __init__(self, *, recipe: Recipe, names: KnownNames) -> None:
        self._recipe = recipe
        self._names = names

    def said(self, messages: Sequence[Message]) -> list[Said]:
        """Messages of one scope; without their speakers if the recipe does not ask who they are."""
        if not self._recipe.knows_speakers:
            return [Said(message.content, None, message.role) for message in messages]
        return self._names.said(messages) if messages else []

    def told(self, memories: Sequence[Memory], talk: Mapping[MessageRef, Message]) -> list[Told]:
        """The memories; `talk` holds the messages of their context. What is not in it is left out."""
        facts = {memory.scope for memory in memories if not _is_message(memory)}
        places = self._names.places(facts) if self._recipe.knows_speakers else {}
        known = {scope: place.names for scope, place in places.items()}
        said = self._talk(memories, talk)
        return [self._told(memory, talk, said[memory.scope], known.get(memory.scope, NO_NAMES)) for memory in memories]

    def _talk(self, memories: Sequence[Memory], talk: Mapping[MessageRef, Message]) -> _Talk:
        """All messages that the memories need, read together: who speaks shows in several of them."""
        needed: defaultdict[Scope, dict[MessageRef, Message]] = defaultdict(dict)
        for memory in memories:
            needed[memory.scope] |= {ref: talk[ref] for ref in _heard(memory, talk)}
        for memory in memories:
            if _is_message(memory):
                own = message_of(memory)
                said = needed[memory.scope].setdefault(own.ref, own)
                if _is_beginning(said, own):
                    needed[memory.scope][own.ref] = replace(said, content=own.content)
        return {scope: dict(zip(some, self.said(list(some.values())), strict=True)) for scope, some in needed.items()}

    def _told(
        self, memory: Memory, talk: Mapping[MessageRef, Message], said: dict[MessageRef, Said], known: NameSet
    ) -> Told:
        context = _heard(memory, talk)
        if not _is_message(memory):
            own = Said(memory.text, None, memory.attributed_to or memory.role)
            return Told(own, memory.created_at, tuple(said[ref] for ref in context), known=known)
        following = next((ref for ref in context if _follows(ref, memory)), None)
        previous = tuple(said[ref] for ref in context if ref != following)
        own = self._own_said(memory, talk, said)
        return Told(own, memory.created_at, previous, None if following is None else said[following])

    def _own_said(self, memory: Memory, talk: Mapping[MessageRef, Message], said: dict[MessageRef, Said]) -> Said:
        """What the memory itself says, which may have been changed since it was said."""
        own = message_of(memory)
        if own.ref not in talk or talk[own.ref].content == own.content or _is_beginning(talk[own.ref], own):
            return said[own.ref]
        others = [talk[ref] for ref in said if ref in talk and ref != own.ref]
        return self.said([*others, own])[-1]


def _is_message(memory: Memory) -> bool:
    """Whether its text is that of one message, and not what an LLM said of its sources."""
    own = MessageRef(memory.job_id, memory.position)
    return memory.sources in ((), (own,)) and own not in memory.context


def _heard(memory: Memory, talk: Mapping[MessageRef, Message]) -> list[MessageRef]:
    """Its context; an imported line may name any message, but others' words must not be found under this memory."""
    return [ref for ref in memory.context if ref in talk and talk[ref].scope == memory.scope]


def _is_beginning(said: Message, own: Message) -> bool:
    """Whether it was read as the context of others, of which the beginning is enough."""
    return len(said.content) == MOST_CONTEXT_CHARS and own.content.startswith(said.content)


def _follows(ref: MessageRef, memory: Memory) -> bool:
    """Whether the message comes after the memory in the same add."""
    return ref.job_id == memory.job_id and ref.position > memory.position
