"""Makes the records of any format into lines of an import, with what the command's options add to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forgetless.cli.formats.history_db import HistoryDb
from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.openmemory import Surroundings, as_listed, is_openmemory
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["RecordLines"]

#: What mem0's collection of entities has beside a text and a user: it looks like one of memories.
_ENTITY = frozenset({"entity_type", "linked_memory_ids"})


class RecordLines:
    """The lines of one file's records. A record that is left out becomes an empty line, which an import skips."""

    def __init__(self, *, user: str | None, history: HistoryDb | None, notes: Notes) -> None:
        self.user = user
        self._history = history
        self._notes = notes

    def line(self, record: Any, *, raw: bytes | None = None, around: Surroundings | None = None) -> bytes:
        """The line of a record; `raw` is its line in the file, which stays as it is if nothing is to be changed."""
        made = self._made(record, around or Surroundings()) if isinstance(record, Mapping) else record
        if made is None and record is not None:
            return b""
        return raw if raw is not None and made is record else json.dumps(made, ensure_ascii=True).encode()

    def _made(self, record: Mapping[str, Any], around: Surroundings) -> Mapping[str, Any] | None:
        payload = record.get("payload")
        fields = payload if isinstance(payload, Mapping) else record
        if fields.keys() >= _ENTITY:
            self._notes.count("left out, because they are entities that mem0 found, and no memories")
            return None
        made: Mapping[str, Any] | None = record
        if is_openmemory(record):
            made = as_listed(record, self.user, around, self._notes)
        elif self.user is not None and not any(fields.get(name) for name in SCOPE_IDS):
            owned = {**fields, "user_id": self.user}
            made = owned if fields is record else {**record, "payload": owned}
        if made is None or self._history is None:
            return made
        return self._history.added_to(made)
