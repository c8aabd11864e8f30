"""A memory as a register with versions, the checker's model: how operations change it, and what answers require.

A step takes the register to its next value, or refuses (None) where the answer could not have been given. Steps that
only look have `reads` set. Times are not read: a register has no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from tests.histories.history import EventSeen

__all__ = [
    "UNBORN",
    "Add",
    "Delete",
    "Erase",
    "Metadata",
    "Missing",
    "Recounted",
    "Refused",
    "Register",
    "Seen",
    "Shown",
    "Step",
    "Supersede",
    "Unlisted",
    "Update",
    "frozen",
    "legible",
    "seen",
]

#: Keys with their values as JSON, sorted.
Metadata = tuple[tuple[str, str], ...]


class Register(NamedTuple):
    """A memory's value; version 0 is before its add."""

    version: int = 0
    text: str = ""
    metadata: Metadata = ()
    expiration: str | None = None
    superseded_by: str | None = None
    gone: bool = False

    @property
    def there(self) -> bool:
        """Whether a get shows it."""
        return self.version > 0 and not self.gone

    def has(self, wanted: Metadata) -> bool:
        """Whether it is there and has these keys with these values."""
        return self.there and set(wanted) <= set(self.metadata)

    def listed(self, today: str, *, expired: bool) -> bool:
        """Whether lists and searches show it; `expired`: they were asked for what has expired, too."""
        return self.there and self.superseded_by is None and (expired or (self.expiration or today) >= today)

    def shows(self, seen: Seen) -> bool:
        """Whether this is what was seen, as far as it was."""
        return all(getattr(self, key) == value for key, value in seen.items())


#: What an answer shows of a register, by the register's fields: see `seen`.
Seen = Mapping[str, Any]
UNBORN = Register()


def frozen(metadata: Mapping[str, Any] | None) -> Metadata:
    """Metadata as a value that can be compared and hashed; 1 and True stay different."""
    return tuple(sorted((key, json.dumps(value, sort_keys=True)) for key, value in (metadata or {}).items()))


def seen(state: Mapping[str, Any]) -> Seen:
    """A State as it can be compared with a register."""
    fields = {key: state[key] for key in ("version", "text", "expiration", "superseded_by") if key in state}
    return fields | ({"metadata": frozen(state["metadata"])} if "metadata" in state else {})


def legible(event: EventSeen) -> bool:
    """Whether an event still holds words."""
    return bool(event.get("text") or event.get("metadata"))


class Step(Protocol):
    """What one operation means for one memory."""

    reads: ClassVar[bool]

    def apply(self, now: Register) -> Register | None:
        """The next value, or None: it cannot have happened here."""


@dataclass(frozen=True, slots=True)
class Add:
    """It is born."""

    text: str
    metadata: Metadata = ()
    expiration: str | None = None
    reads: ClassVar[bool] = False

    def apply(self, now: Register) -> Register | None:
        if now.version:
            return None
        return now._replace(version=1, text=self.text, metadata=self.metadata, expiration=self.expiration)


@dataclass(frozen=True, slots=True)
class Update:
    """Text, metadata by key, expiration; `answer` is the memory afterwards, as far as it was answered."""

    changes: Mapping[str, Any]
    answer: Seen
    if_version: int | None = None
    reads: ClassVar[bool] = False

    def apply(self, now: Register) -> Register | None:
        if not now.there or self.if_version not in {None, now.version}:
            return None
        metadata = now.metadata
        if self.changes.get("metadata"):
            metadata = tuple(sorted({**dict(metadata), **dict(frozen(self.changes["metadata"]))}.items()))
        after = now._replace(
            version=now.version + 1,
            text=self.changes.get("text", now.text),
            metadata=metadata,
            expiration=self.changes.get("expiration", now.expiration),
        )
        return after if after.shows(self.answer) else None


@dataclass(frozen=True, slots=True)
class Supersede:
    """Another memory takes its place, if it still has one."""

    by: str
    reads: ClassVar[bool] = False

    def apply(self, now: Register) -> Register | None:
        if not now.there or now.superseded_by is not None:
            return now
        return now._replace(version=now.version + 1, superseded_by=self.by)


def _deleted(now: Register) -> Register:
    return Register(version=now.version + 1, gone=True)


@dataclass(frozen=True, slots=True)
class Delete:
    """It is deleted by its id, and was there."""

    reads: ClassVar[bool] = False

    def apply(self, now: Register) -> Register | None:
        return _deleted(now) if now.there else None


@dataclass(frozen=True, slots=True)
class Erase:
    """All of its scope is deleted; it may not have been there."""

    reads: ClassVar[bool] = False

    def apply(self, now: Register) -> Register | None:
        return _deleted(now) if now.there else now


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer shows it; `listed`: by a list or search, which show current memories only."""

    seen: Seen
    today: str = ""
    listed: bool = False
    expired: bool = True
    reads: ClassVar[bool] = True

    def apply(self, now: Register) -> Register | None:
        if not now.there or (self.listed and not now.listed(self.today, expired=self.expired)):
            return None
        return now if now.shows(self.seen) else None


@dataclass(frozen=True, slots=True)
class Missing:
    """An answer says that it is not there."""

    reads: ClassVar[bool] = True

    def apply(self, now: Register) -> Register | None:
        return None if now.there else now


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A complete list does not have it."""

    today: str
    expired: bool
    reads: ClassVar[bool] = True

    def apply(self, now: Register) -> Register | None:
        return None if now.listed(self.today, expired=self.expired) else now


@dataclass(frozen=True, slots=True)
class Refused:
    """An update answered 412: it has another version."""

    if_version: int
    reads: ClassVar[bool] = True

    def apply(self, now: Register) -> Register | None:
        return now if now.there and now.version != self.if_version else None


@dataclass(frozen=True, slots=True)
class Recounted:
    """Its whole history so far. (What earlier events say is held against those versions: see `partition.versions`.)"""

    events: Sequence[EventSeen]
    last: Seen
    reads: ClassVar[bool] = True

    def apply(self, now: Register) -> Register | None:
        if not self.events:
            return None if now.there else now
        if len(self.events) != now.version or (self.events[-1].get("event") == "DELETE") != now.gone:
            return None
        if now.gone:
            return None if any(legible(event) for event in self.events) else now
        return now if now.shows(self.last) else None
