"""Speakers: who said each message, by its `name` or by a prefix such as "Anna: ".

A prefix is trusted only where a conversation shows that it names who speaks: "Password: …" and "Note: …" are content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NO_NAMES, NameSet, as_written
from forgetless.domain.said import Said
from forgetless.domain.spoken import known_role

__all__ = [
    "LEAST_PREFIXES",
    "NO_PREFIXES",
    "OFTEN",
    "KnownPrefixes",
    "NameUse",
    "message_of",
    "name_uses",
    "read_speakers",
]

#: How often a prefix must be used, and how many such prefixes there must be.
OFTEN = 2
LEAST_PREFIXES = 2
#: One to three words, each with a capital; a word may be an initial ("J. R. Smith") or have "-" or an apostrophe in it.
_WORD = r"[^\W\d_](?:[^\s\W\d_]|[\u0300-\u036f]|(?<=\w)['’-](?=[^\W\d_]))*\.?"
_PREFIX = re.compile(rf"\s*(?P<name>{_WORD}(?: {_WORD}){{0,2}}): +(?=\S)")
_PREFIX_CHARS = 200
#: Labels that people put before what they write down, however often they do. Roles are none either.
_LABELS = frozenset(
    re.findall(
        r"\w+",
        "a address answer attention caution date email error example fact from fyi hint id idea important info key "
        "location login name note notes password phone pin place ps q question re reminder result subject summary task "
        "time tip title to todo update url username warning",
    )
)
#: Roles whose `name` is that of a function.
_NOT_PERSONS = {"tool", "system"}


@dataclass(frozen=True, slots=True)
class NameUse:
    """How a name occurred in some messages: whether as the `name` of one, and of which it was a prefix."""

    given: bool = False
    prefix_of: tuple[MessageRef, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownPrefixes:
    """Prefixes of earlier messages of the scope: those used once, and those used at least twice."""

    once: NameSet = NO_NAMES
    often: NameSet = NO_NAMES

    def uses(self, prefix: str) -> int:
        """How often the prefix was used, as far as it matters."""
        return OFTEN if prefix in self.often else int(prefix in self.once)


NO_PREFIXES = KnownPrefixes()


def read_speakers(messages: Sequence[Message], known: KnownPrefixes = NO_PREFIXES) -> list[Said]:
    """Each message with its speaker: its `name`, or a prefix that this add and `known` show to be one.

    A prefix must have been used twice, and so must at least one other.
    """
    prefixes = [_prefix(message) for message in messages]
    counts = Counter(found[0] for found in prefixes if found is not None)
    often = {prefix for prefix, uses in counts.items() if uses + known.uses(prefix) >= OFTEN}
    others = len(known.often) + sum(prefix not in known.often for prefix in often)
    speakers = often if others >= LEAST_PREFIXES else set()
    return [_said(message, found, speakers) for message, found in zip(messages, prefixes, strict=True)]


def name_uses(messages: Iterable[Message]) -> dict[str, NameUse]:
    """The names that occur in the messages as those of speakers, or may do so; no more than two uses are told."""
    found: dict[str, NameUse] = {}
    for message in messages:
        given, prefix = _given(message), _prefix(message)
        name = as_written(given) if given is not None else prefix[0] if prefix is not None else None
        if name is not None:
            use = found.get(name, NameUse())
            prefix_of = use.prefix_of if given is not None else (*use.prefix_of, message.ref)[:OFTEN]
            found[name] = NameUse(use.given or given is not None, prefix_of)
    return found


def message_of(memory: Memory) -> Message:
    """The message that a memory was stored from verbatim, as far as it says who spoke."""
    # Imported memories have no message, and many of them the same job and position.
    ref = memory.sources[0] if memory.sources else MessageRef(memory.id, 0)
    role = memory.role or "user"
    return Message(ref, memory.scope, role, memory.text, memory.created_at, memory.actor_id, memory.erasures_before)


def _said(message: Message, found: tuple[str, str] | None, speakers: Iterable[str]) -> Said:
    if found is not None and found[0] in speakers:
        return Said(found[1], found[0], message.role)
    given = _given(message)
    return Said(message.content, given and (as_written(given) or given), message.role)


def _given(message: Message) -> str | None:
    """The message's `name`, unless it is that of a role or a function."""
    name = (message.name or "").strip()
    return name if name and known_role(name) is None and message.role not in _NOT_PERSONS else None


def _prefix(message: Message) -> tuple[str, str] | None:
    """The name that may stand at the beginning of the message, and the text after it."""
    if message.name or message.role in _NOT_PERSONS:
        return None
    match = _PREFIX.match(message.content, 0, _PREFIX_CHARS)
    if match is None:
        return None
    words = match["name"].split()
    label = words[-1].rstrip(".").casefold() in _LABELS or match["name"].casefold() in _LABELS
    if label or any(word[0].islower() for word in words) or (name := as_written(match["name"])) is None:
        return None
    return name, message.content[match.end() :]
