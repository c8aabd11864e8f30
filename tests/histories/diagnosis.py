"""Finds the kind of an anomaly, from the answer that no order explains and the states that were possible then."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.histories.anomalies import Anomaly, AnomalyKind
from tests.histories.history import Kind, Operation
from tests.histories.linearizability import Call, Result
from tests.histories.memory_origins import Origin
from tests.histories.register import (
    Add,
    Delete,
    Missing,
    Recounted,
    Refused,
    Register,
    Seen,
    Shown,
    Supersede,
    Unlisted,
    Update,
    frozen,
    legible,
)

__all__ = ["explain"]


def explain(origin: Origin, result: Result, calls: Sequence[Call], failed: Sequence[Operation] = ()) -> Anomaly:
    """Return the anomaly of a memory whose calls have no valid order; `failed` are updates of it that were refused."""
    assert result.culprit is not None
    possible = sorted(result.before, key=repr)
    kind = _Explanation(origin, result.culprit, possible, calls).kind()
    operation = result.culprit.operation
    if kind is AnomalyKind.NEVER_WRITTEN:
        for refused in failed:
            # Had it not been refused, would this be explained?
            done = Call(refused, Update(refused.request, {}), refused.started, math.inf)
            if _Explanation(origin, result.culprit, possible, [*calls, done]).kind() is not kind:
                message = (
                    f"memory {origin.id}: the update #{refused.index} was answered as failed, and what it says is shown"
                )
                numbers = (refused.index, *((operation.index,) if operation else ()))
                return Anomaly(AnomalyKind.FAILED_TOOK_EFFECT, message, (origin.id,), numbers)
    where = f"#{operation.index}" if operation else "what is there at rest"
    could = " or ".join(dict.fromkeys(map(_told, possible[:3]))) or "nothing"
    message = f"memory {origin.id}: {where} cannot be explained; possible was {could}"
    return Anomaly(kind, message, (origin.id,), (operation.index,) if operation else ())


def _told(register: Register) -> str:
    if not register.version:
        return "that it is not there yet"
    if register.gone:
        return f"version {register.version}, deleted"
    superseded = f", superseded by {register.superseded_by}" if register.superseded_by else ""
    metadata = "{" + ", ".join(f"{key}: {value}" for key, value in register.metadata) + "}"
    expiration = f", until {register.expiration}" if register.expiration else ""
    return f"version {register.version} {register.text!r} {metadata}{expiration}{superseded}"


class _Explanation:
    def __init__(self, origin: Origin, culprit: Call, possible: Sequence[Register], calls: Sequence[Call]) -> None:
        self._before = origin.before
        self._culprit = culprit
        self._possible = possible
        self._calls = calls
        self._search = culprit.operation is not None and culprit.operation.kind is Kind.SEARCH

    def kind(self) -> AnomalyKind:
        step = self._culprit.step
        if isinstance(step, Missing | Unlisted):
            return self._missing(listed=isinstance(step, Unlisted))
        if isinstance(step, Refused):
            return AnomalyKind.FALSE_PRECONDITION
        if isinstance(step, Recounted):
            return self._recounted(step)
        if isinstance(step, Shown):
            return self._shown(step.seen, step)
        if isinstance(step, Update):
            return self._updated(step)
        if isinstance(step, Delete) and self._all("gone"):
            return AnomalyKind.DELETED_TWICE
        return AnomalyKind.DOUBLED_ADD if isinstance(step, Add) else AnomalyKind.NOT_LINEARIZABLE

    def _all(self, name: str) -> bool:
        return all(getattr(register, name) for register in self._possible)

    def _missing(self, *, listed: bool) -> AnomalyKind:
        """Called missing, though it is there."""
        if any(isinstance(call.step, Shown | Recounted) and self._later(call) for call in self._calls):
            return AnomalyKind.LIST_MISSES if listed else AnomalyKind.MISSING
        return AnomalyKind.LOST_ADD

    def _later(self, call: Call) -> bool:
        """Whether a later answer shows the memory live."""
        shows = not isinstance(call.step, Recounted) or bool(call.step.events and legible(call.step.events[-1]))
        return shows and call.started > self._culprit.ended

    def _recounted(self, step: Recounted) -> AnomalyKind:
        if not step.events:
            return self._missing(listed=False)
        gone = step.events[-1].get("event") == "DELETE"
        if gone and any(map(legible, step.events)):
            return AnomalyKind.ERASED_LEGIBLE
        # A history has no version but its length.
        length = len(step.events)
        if not gone and not any(one.there and one.shows({"version": length, **step.last}) for one in self._possible):
            return self._shown({"version": length, **step.last}, None)
        if all(length < register.version for register in self._possible):
            return AnomalyKind.LOST_UPDATE
        return AnomalyKind.HISTORY_DISAGREES

    def _shown(self, seen: Seen, step: Shown | None) -> AnomalyKind:
        if self._foreign(seen):
            return AnomalyKind.NEVER_WRITTEN
        if self._all("gone"):
            return self._alive_again()
        current = [register for register in self._possible if register.there]
        if not current:
            return AnomalyKind.NEVER_WRITTEN
        superseded = all(register.superseded_by for register in current)
        listed = step is not None and step.listed
        if superseded and (listed or seen.get("superseded_by", "") is None):
            return self._superseded_shown(listed=listed)
        if step is not None and listed and any(register.shows(seen) for register in current):
            return AnomalyKind.LIST_SHOWS_EXPIRED
        return self._state(seen, current)

    def _superseded_shown(self, *, listed: bool) -> AnomalyKind:
        if not any(_shows_superseded(call) for call in self._calls):
            return AnomalyKind.LOST_SUPERSESSION
        if not listed:
            return AnomalyKind.STALE_READ
        return AnomalyKind.SEARCH_SHOWS_SUPERSEDED if self._search else AnomalyKind.LIST_SHOWS_SUPERSEDED

    def _alive_again(self) -> AnomalyKind:
        if any(_shows_gone(call) and call.ended < self._culprit.started for call in self._calls):
            return AnomalyKind.SEARCH_SHOWS_DELETED if self._search else AnomalyKind.RESURRECTED
        if any(isinstance(call.step, Delete) for call in self._calls):
            return AnomalyKind.SEARCH_SHOWS_DELETED if self._search else AnomalyKind.LOST_DELETE
        return AnomalyKind.SURVIVED_ERASE

    def _state(self, seen: Seen, current: Sequence[Register]) -> AnomalyKind:
        """Another state of a memory that is there."""
        content = {key: value for key, value in seen.items() if key != "version"}
        version = seen.get("version")
        lowest, highest = min(one.version for one in current), max(one.version for one in current)
        if version is not None and any(register.shows(content) for register in current):
            return self._numbered(version, lowest)
        if version is None or lowest <= version <= highest:
            others = {key: value for key, value in content.items() if key not in {"metadata", "expiration"}}
            if any(one.shows(others) and _keys(one.metadata) - _keys(content.get("metadata")) for one in current):
                return AnomalyKind.LOST_METADATA if "metadata" in content else AnomalyKind.LOST_UPDATE
        if version is not None and version > highest:
            return AnomalyKind.VERSION_JUMPS
        if not any(self._shows_as_new(call, current) for call in self._calls):
            return AnomalyKind.LOST_UPDATE
        return AnomalyKind.SEARCH_SHOWS_OLD if self._search else AnomalyKind.STALE_READ

    def _numbered(self, version: int, lowest: int) -> AnomalyKind:
        """The content is possible, its version is not."""
        if version > lowest:
            return AnomalyKind.VERSION_JUMPS
        earlier = [call for call in self._calls if call.ended < self._culprit.started]
        higher = any(_version(call) > version for call in earlier)
        if not higher:
            return AnomalyKind.LOST_UPDATE
        told = isinstance(self._culprit.step, Recounted)
        return AnomalyKind.HISTORY_DISAGREES if told else AnomalyKind.VERSION_BACKWARDS

    def _shows_as_new(self, call: Call, current: Sequence[Register]) -> bool:
        """Whether some other answer shows a state that is possible now: then it was not lost, only not seen here."""
        if call is self._culprit or not isinstance(call.step, Shown | Recounted):
            return False
        return any(one.there and call.step.apply(one) is not None for one in current)

    def _updated(self, step: Update) -> AnomalyKind:
        if self._all("gone"):
            return AnomalyKind.CHANGED_AFTER_DELETE
        current = [register for register in self._possible if register.there]
        if step.if_version is not None and all(one.version != step.if_version for one in current):
            return AnomalyKind.IGNORED_PRECONDITION
        version = step.answer.get("version")
        steps = [call.step for call in self._calls if call.step is not step]
        answered = {one.answer.get("version") for one in steps if isinstance(one, Update)}
        if version is not None and version in answered:
            return AnomalyKind.LOST_UPDATE
        if self._foreign(step.answer):
            return AnomalyKind.NEVER_WRITTEN
        return self._after(step, current)

    def _after(self, step: Update, current: Sequence[Register]) -> AnomalyKind:
        """An answer of an update that does not fit what the update should have made."""
        made = [after for one in current if (after := Update(step.changes, {}).apply(one)) is not None]
        kind = self._state(step.answer, made) if made else AnomalyKind.NOT_LINEARIZABLE
        # It changed an old state: what had made a newer one went under.
        return AnomalyKind.LOST_UPDATE if kind is AnomalyKind.STALE_READ else kind

    def _foreign(self, seen: Seen) -> bool:
        """Whether nothing that was asked can have made a part of it."""
        steps = [call.step for call in self._calls]
        changes = [step.changes for step in steps if isinstance(step, Update)]
        born: list[Add | Register] = [self._before, *(step for step in steps if isinstance(step, Add))]
        texts = {one.text for one in born} | {one["text"] for one in changes if "text" in one}
        expirations = {one.expiration for one in born} | {one["expiration"] for one in changes if "expiration" in one}
        metadata = {pair for one in born for pair in one.metadata}
        metadata |= {pair for one in changes for pair in frozen(one.get("metadata"))}
        successors = {None, self._before.superseded_by, *(step.by for step in steps if isinstance(step, Supersede))}
        return (
            ("text" in seen and seen["text"] not in texts)
            or ("expiration" in seen and seen["expiration"] not in expirations)
            or not set(seen.get("metadata", ())) <= metadata
            or seen.get("superseded_by") not in successors
        )


def _keys(metadata: object) -> set[str]:
    return {key for key, _ in metadata} if isinstance(metadata, tuple) else set()


def _version(call: Call) -> int:
    """The version that an answer tells; 0 where it tells none."""
    step = call.step
    told = step.answer if isinstance(step, Update) else step.seen if isinstance(step, Shown) else {}
    return int(told.get("version", 0))


def _shows_gone(call: Call) -> bool:
    """Whether an answer shows that it is not there."""
    step = call.step
    if isinstance(step, Recounted):
        return bool(step.events) and step.events[-1].get("event") == "DELETE"
    return isinstance(step, Missing)


def _shows_superseded(call: Call) -> bool:
    step = call.step
    if isinstance(step, Shown):
        return bool(step.seen.get("superseded_by"))
    return isinstance(step, Recounted) and bool(step.last.get("superseded_by"))
