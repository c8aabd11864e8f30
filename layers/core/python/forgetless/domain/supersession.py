"""Supersession: the rules by which a new fact may supersede an existing memory. The LLM only proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.domain.memory import Memory, Message, MessageRef

__all__ = [
    "MOST_SUPERSEDED",
    "USER",
    "SupersessionRules",
    "is_vouched_by_user",
    "least_nearness",
    "least_trusted_role",
    "may_be_users",
]

#: The most memories that one fact supersedes.
MOST_SUPERSEDED = 2
#: The role of a user's messages, and what an extraction attributes their facts to.
USER = "user"

#: The least cosine of a fact and a memory that it supersedes, for models for which it has been measured
#: (local/evaluate/supersessions.py). For other models, nearness is judged by the reference texts alone.
_LEAST_NEARNESS = {"all-MiniLM-L6-v2": 0.35}

#: Roles from the least trusted one on; all others are trusted as little as the first one.
_TRUSTED = ("tool", "system", "assistant", USER)


@dataclass(frozen=True, slots=True)
class SupersessionRules:
    """What an operator may choose.

    Nothing whose cosine is below `nearness` is superseded; a negative value means that nearness does not matter. With
    `any_role`, text of assistants, tools and systems may supersede what the user said.
    """

    nearness: float = 0.0
    any_role: bool = False


def least_nearness(model: str) -> float:
    """The least cosine for this embedding model; its variants in other graphs have the same meaning."""
    return _LEAST_NEARNESS.get(model.removesuffix("-rows").removesuffix("-2"), 0.0)


def least_trusted_role(sources: Sequence[MessageRef], messages: Sequence[Message]) -> str:
    """The least trusted role among the sources of a fact; if it names none, among all messages of the add."""
    roles = {message.role for message in messages if not sources or message.ref in sources}
    return min(roles, key=lambda role: (_trust(role), role))


def is_vouched_by_user(sources: Sequence[MessageRef], messages: Sequence[Message]) -> bool:
    """Whether a fact comes from a message of the user; a fact without sources, if all messages are the user's."""
    if sources:
        return any(message.role == USER for message in messages if message.ref in sources)
    return all(message.role == USER for message in messages)


def may_be_users(memory: Memory) -> bool:
    """Whether the user may have said it: unless its role and attribution both name somebody else."""
    if memory.attributed_to is None and memory.role is None:
        return True
    return USER in (memory.attributed_to, memory.role)


def _trust(role: str) -> int:
    return _TRUSTED.index(role) if role in _TRUSTED else 0
