"""Told memories: reads memories with the messages of their context, as a recipe wants them.

A memory says of itself which messages stand in its row, so that its row can be made again from the ledger alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NO_NAMES, NameSet
from forgetless.domain.recipe import Recipe, Told
from forgetless.domain.said import Said
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
        known = self._names.places(facts) if self._recipe.knows_speakers else {}
        said = self._talk(memories, talk)
        return [
            self._told(memory, talk, said[memory.scope], known[memory.scope].names if known else NO_NAMES)
            for memory in memories
        ]

    def _talk(self, memories: Sequence[Memory], talk: Mapping[MessageRef, Message]) -> _Talk:
        """All messages that the memories need, read together: who speaks shows in several of them."""
        needed: defaultdict[Scope, dict[MessageRef, Message]] = defaultdict(dict)
        for memory in memories:
            needed[memory.scope] |= {ref: talk[ref] for ref in memory.context if ref in talk}
        for memory in memories:
            if _is_message(memory):
                needed[memory.scope].setdefault(_own(memory), message_of(memory))
        return {scope: dict(zip(some, self.said(list(some.values())), strict=True)) for scope, some in needed.items()}

    def _told(
        self, memory: Memory, talk: Mapping[MessageRef, Message], said: dict[MessageRef, Said], known: NameSet
    ) -> Told:
        context = [ref for ref in memory.context if ref in talk]
        if not _is_message(memory):
            own = Said(memory.text, None, memory.attributed_to or memory.role)
            return Told(own, memory.created_at, tuple(said[ref] for ref in context), known=known)
        place = _own(memory)
        following = next((ref for ref in context if _follows(ref, place)), None)
        previous = tuple(said[ref] for ref in context if ref != following)
        return Told(self._own_said(memory, talk, said), memory.created_at, previous, said[following] if following else None)

    def _own_said(self, memory: Memory, talk: Mapping[MessageRef, Message], said: dict[MessageRef, Said]) -> Said:
        """What the memory itself says, which may have been changed since it was said."""
        place = _own(memory)
        if place not in talk or talk[place].content == memory.text:
            return said[place]
        others = [talk[ref] for ref in said if ref in talk and ref != place]
        return self.said([*others, message_of(memory)])[-1]


def _own(memory: Memory) -> MessageRef:
    """The place of the message that the memory is."""
    return MessageRef(memory.job_id, memory.position)


def _is_message(memory: Memory) -> bool:
    """Whether its text is that of one message, and not what an LLM said of its sources."""
    own = _own(memory)
    return memory.sources in ((), (own,)) and own not in memory.context


def _follows(ref: MessageRef, own: MessageRef) -> bool:
    return ref.job_id == own.job_id and ref.position > own.position
