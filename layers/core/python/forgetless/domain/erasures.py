"""Erasures: what a deletion by scope names, its marker in the ledger, and what the markers of a tenant cover.

An erasure takes the next number of its tenant. Memories, messages and jobs carry the number of the last erasure that
their request knew when it was accepted (`erasures_before`). A marker covers what matches one of its targets and has a
lower number than itself. No clock decides. Markers hold keyed digests instead of ids, so that they may outlive them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from forgetless.domain.digests import keyed_digest
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.scope import NARROWEST_FIRST, SCOPE_IDS, Scope

__all__ = [
    "Accepted",
    "Erasure",
    "ErasureMarker",
    "ErasureState",
    "Judge",
    "MarkedTarget",
    "Markers",
    "Target",
    "marked",
    "marked_ids",
]


class Accepted(Protocol):
    """What a marker may cover: a memory, a message or a job."""

    @property
    def scope(self) -> Scope:
        """Whose it is."""

    @property
    def erasures_before(self) -> int:
        """The number of the last erasure of its tenant that its request knew when it was accepted."""


@dataclass(frozen=True, slots=True)
class Target:
    """One part of an erasure: everything that has all `ids`, and any value for each of `names`.

    Without ids and names it is the whole tenant.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.ids, *self.names):
            if name not in SCOPE_IDS:
                raise InvalidRequestError(f"{name}: not a scope id; use one of {', '.join(SCOPE_IDS)}")

    def matches(self, scope: Scope) -> bool:
        """Whether the scope has all ids and a value for each name."""
        return all(getattr(scope, name) == value for name, value in self.ids.items()) and all(
            getattr(scope, name) for name in self.names
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that has begun, with its targets in clear: who removes the rows needs them until the end."""

    tenant: str
    number: int
    targets: tuple[Target, ...]
    begun_at: str
    #: A random id; empty in erasures that earlier versions began.
    id: str = ""
    #: Whether it is the beginning of the deletion of the tenant.
    closes: bool = False

    @property
    def identity(self) -> str:
        """What no other erasure has, in whatever ledger: ids of its job and of its events are derived from it."""
        return self.id or f"{self.tenant}\x00{self.number}"

    def covers(self, thing: Accepted) -> bool:
        """Whether it removes this."""
        return thing.erasures_before < self.number and any(target.matches(thing.scope) for target in self.targets)


@dataclass(frozen=True, slots=True)
class MarkedTarget:
    """A target with keyed digests of its ids."""

    digests: Mapping[str, str]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ErasureMarker:
    """The marker of an erasure: what it covers, without any id in clear."""

    number: int
    targets: tuple[MarkedTarget, ...]


@dataclass(frozen=True, slots=True)
class ErasureState:
    """A tenant's erasures: the number of the last one, how many still hide data, and the first of these."""

    last: int = 0
    hiding: int = 0
    first: int = 0
    #: The key of the digests. It is made at random with the first erasure.
    key: bytes = b""
    #: Whether the tenant is being deleted: nothing new may be written.
    closed: bool = False


def marked(key: bytes, targets: Sequence[Target]) -> tuple[MarkedTarget, ...]:
    """The targets with digests instead of ids."""
    return tuple(MarkedTarget(marked_ids(key, target.ids), target.names) for target in targets)


def marked_ids(key: bytes, ids: Mapping[str, str]) -> dict[str, str]:
    """The digests of ids that markers with this key have."""
    return {name: keyed_digest(key, name, value) for name, value in ids.items()}


class Markers:
    """The markers of a tenant, arranged so that a judgement costs the same however many they are."""

    def __init__(self, key: bytes, markers: Iterable[ErasureMarker] = ()) -> None:
        self._key = key
        self.markers = tuple(markers)
        self._named = {
            (name, digest)
            for marker in self.markers
            for target in marker.targets
            for name, digest in target.digests.items()
        }
        self._by_narrowest: defaultdict[str, list[tuple[int, MarkedTarget]]] = defaultdict(list)
        for marker in self.markers:
            for target in marker.targets:
                self._by_narrowest[_narrowest(target)].append((marker.number, target))

    def cover(self, thing: Accepted) -> bool:
        """Whether one of them covers this."""
        return any(thing.erasures_before < number for number, _ in self._matching(self._digests(thing.scope)))

    def cover_scope(self, digests: Mapping[str, str], erasures_before: int) -> bool:
        """`cover` for what tells only the digests of its scope's ids, made by `marked_ids`."""
        return any(erasures_before < number for number, _ in self._matching(digests))

    def revealed(self, scope: Scope) -> list[Target]:
        """The targets that match the scope, in clear: their ids are among those of the scope."""
        ids = scope.ids()
        return [
            Target({name: ids[name] for name in target.digests}, target.names)
            for _, target in self._matching(self._digests(scope))
        ]

    def _digests(self, scope: Scope) -> dict[str, str]:
        return marked_ids(self._key, scope.ids())

    def _matching(self, digests: Mapping[str, str]) -> Iterator[tuple[int, MarkedTarget]]:
        """The targets that match the scope with these digests, each with the number of its erasure."""
        for narrowest in ("", *digests.values()):
            for number, target in self._by_narrowest.get(narrowest, ()):
                if all(digests.get(name) == digest for name, digest in target.digests.items()) and all(
                    name in digests for name in target.names
                ):
                    yield number, target

    def names(self, name: str, value: str) -> bool:
        """Whether one of them has this id."""
        return (name, keyed_digest(self._key, name, value)) in self._named

    def sweep(self, name: str) -> bool:
        """Whether one of them covers everything older that has any id of this name: all, or all with such an id."""
        return any(set(target.names) <= {name} for _, target in self._by_narrowest.get("", ()))

    def may_touch(self, name: str, value: str) -> bool:
        """Whether one of them may cover something that has this id among others."""
        digest = keyed_digest(self._key, name, value)
        targets = (target for found in self._by_narrowest.values() for _, target in found)
        return any(target.digests.get(name, digest) == digest for target in targets)


class Judge:
    """Judges what one call reads or writes, by the state that it has read; markers are read only if they matter.

    `read` gives the markers with a higher number than its argument.
    """

    def __init__(self, state: ErasureState, read: Callable[[int], Iterable[ErasureMarker]]) -> None:
        self._state = state
        self._read = read
        self._found: dict[int, Markers] = {}

    @property
    def hiding(self) -> bool:
        """Whether any marker hides data."""
        return self._state.hiding > 0

    @property
    def closed(self) -> bool:
        """Whether nothing may be written, because the tenant is being deleted."""
        return self._state.closed

    def refuses(self, thing: Accepted) -> bool:
        """Whether something new was accepted before an erasure that covers it, even if that is over already."""
        before = thing.erasures_before
        return before < self._state.last and self._beyond(before).cover(thing)

    def hides(self, thing: Accepted) -> bool:
        """Whether a marker that hides data covers something that is in the ledger."""
        return self.hiding and self._beyond(self._state.first - 1).cover(thing)

    def hides_scope(self, digests: Mapping[str, str], erasures_before: int) -> bool:
        """`hides` for what tells only the digests of its scope's ids."""
        return self.hiding and self._beyond(self._state.first - 1).cover_scope(digests, erasures_before)

    def _beyond(self, number: int) -> Markers:
        if number not in self._found:
            self._found[number] = Markers(self._state.key, self._read(number))
        return self._found[number]


def _narrowest(target: MarkedTarget) -> str:
    """The digest under which a target is looked up: that of its narrowest id; "" if it has none."""
    return next((target.digests[name] for name in NARROWEST_FIRST if name in target.digests), "")
