"""ImportCheck: counts which memories of a file a ledger has, so that a move from elsewhere can be verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.transfer.event_import import BATCH, EventImport
from forgetless.service.transfer.import_jobs import PORTION_S, lines_of, numbered_records

__all__ = ["ImportCheck", "ImportCounts"]


@dataclass(slots=True)
class ImportCounts:
    """The memories of some lines, and how many of them a ledger has."""

    #: Lines of memories, whether or not they can be imported.
    memories: int = 0
    found: int = 0
    #: The same for each id, by the name of its field: {"user_id": {"ana": [3, 3]}}.
    by_id: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    #: How many of the lines were read before the time was over; None if all were.
    lines: int | None = None

    def note(self, memory: Memory, *, found: bool) -> None:
        """Count one memory."""
        self.memories += 1
        self.found += found
        for name, value in memory.scope.ids().items():
            pair = self.by_id.setdefault(name, {}).setdefault(value, [0, 0])
            pair[0] += 1
            pair[1] += found

    def include(self, other: ImportCounts) -> None:
        """Add the counts of other lines."""
        self.memories += other.memories
        self.found += other.found
        for name in SCOPE_IDS:
            for value, (memories, found) in other.by_id.get(name, {}).items():
                pair = self.by_id.setdefault(name, {}).setdefault(value, [0, 0])
                pair[0] += memories
                pair[1] += found


class ImportCheck:
    """Reads lines as an import does, and stores nothing."""

    def __init__(self, *, ledger: Ledger, clock: Clock, limits: RequestLimits | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._imports = EventImport(ledger=ledger, clock=clock, limits=limits)

    def count(self, tenant: str, body: bytes, *, ours: bool) -> ImportCounts:
        """The counts of these lines; `ours` says that they are those of an export.

        A memory counts as found unless it is missing or deleted. An export also has the lines of deleted memories:
        those without a text are not counted. After PORTION_S, `lines` of the answer says how many lines were counted:
        send the rest again. Raises InvalidRequestError for a line that is not JSON.
        """
        counts = ImportCounts()
        lines = lines_of(body)
        give_up = self._clock.monotonic() + PORTION_S
        for start in range(0, len(lines), BATCH):
            if start and self._clock.monotonic() >= give_up:
                counts.lines = start
                break
            records, broken = numbered_records(lines[start : start + BATCH], start + 1)
            if broken is not None:
                raise InvalidRequestError(f"line {broken[0]}: {broken[1]}")
            memories = [memory for _, record in records for memory in self._added(tenant, record, counts, ours=ours)]
            held = self._ledger.known_ids(tenant, [memory.id for memory in memories])
            for memory in memories:
                counts.note(memory, found=held.get(memory.id) is False)
        return counts

    def _added(self, tenant: str, record: Any, counts: ImportCounts, *, ours: bool) -> Iterator[Memory]:
        """The memory that a line adds, if it adds one. A line that no import takes counts as one that is not found."""
        try:
            for one in self._imports.read(tenant, record, ours=ours):
                if isinstance(one, Event) and one.kind is EventKind.ADD and one.memory.text:
                    yield one.memory
        except (InvalidRequestError, RecursionError):
            counts.memories += 1
