"""Turns: in which order the webhooks with deliveries are served, so that no tenant can hold up the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forgetless.domain.documents import Document

__all__ = ["Group", "Turns"]


@dataclass(frozen=True, slots=True)
class Group:
    """Deliveries to one webhook, in the order in which they are sent."""

    tenant: str
    webhook_id: str
    deliveries: tuple[Document, ...]

    @property
    def name(self) -> tuple[str, str]:
        """The webhook, over all tenants."""
        return self.tenant, self.webhook_id


class Turns:
    """Begins at most `most` groups of a tenant at once, and prefers the tenant that has had the fewest."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._waiting: list[Group] = []
        self._busy: dict[tuple[str, str], Group] = {}
        self._left_out: set[tuple[str, str]] = set()
        #: How many groups of each tenant are being served, and how many have been begun.
        self._serving: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()

    def know(self, due: Sequence[Document]) -> None:
        """Take what is due now in place of what was known. A webhook that is being served is not begun twice."""
        found: dict[tuple[str, str], list[Document]] = {}
        for document in due:
            found.setdefault((document.tenant, str(document.body.get("webhook_id"))), []).append(document)
        passed = self._busy.keys() | self._left_out
        self._waiting = [Group(*name, tuple(those)) for name, those in found.items() if name not in passed]

    def next(self) -> Group | None:
        """The group to begin now, if any; `done` must follow when it has been served."""
        allowed = [group for group in self._waiting if self._serving[group.tenant] < self._most]
        if not allowed:
            return None
        group = min(allowed, key=lambda one: (self._serving[one.tenant], self._begun[one.tenant]))
        self._waiting.remove(group)
        self._busy[group.name] = group
        self._serving[group.tenant] += 1
        self._begun[group.tenant] += 1
        return group

    def done(self, group: Group, *, leave_out: bool = False) -> None:
        """The group has been served; `leave_out` leaves its webhook out of what follows."""
        del self._busy[group.name]
        self._serving[group.tenant] -= 1
        if leave_out:
            self._left_out.add(group.name)
