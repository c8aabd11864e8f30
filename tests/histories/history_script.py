"""Writes histories by hand, a short line for each operation, for the checker's own tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tests.histories.fault_free_service import TODAY
from tests.histories.history import EventSeen, History, Kind, Operation, Outcome, Rest, State

__all__ = ["ZOE", "Script", "Write", "event", "state"]

ZOE = {"user_id": "zoe"}
#: Start and end; an end of None means that there was no answer.
When = tuple[float, float | None]


def state(id_: str, text: str, version: int | None = None, **more: Any) -> State:
    """A memory as a list shows it, without metadata and expiration unless told."""
    shown: Any = {"id": id_, "text": text, "metadata": {}, "expiration": None, "superseded_by": None, **more}
    return cast("State", shown if version is None else {**shown, "version": version})


def event(kind: str, id_: str, text: str, version: int, **more: Any) -> EventSeen:
    """One event of a history or export."""
    return cast("EventSeen", {**state(id_, text, version, **more), "event": kind})


class Script:
    """Each call adds one operation, which is short and answered with 200 unless the arguments say otherwise."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []

    def history(self, rest: Rest | None = None) -> History:
        """Return the history so far."""
        return History(7, {"today": TODAY}, tuple(self._operations), (), rest)

    def add(self, when: When, id_: str, text: str, **options: Any) -> None:
        """One memory; `id_` empty: the answer does not tell."""
        request = {"scope": options.pop("scope", ZOE), "texts": [text], "metadata": options.pop("metadata", {})}
        request |= {"expiration": options.pop("expiration", None), "infer": options.pop("infer", False)}
        answer: dict[str, Any] = {"memories": [{"id": id_, "text": text}]} if id_ else {}
        answer |= {name: options.pop(name) for name in ("indexed", "supersedes", "erased") if name in options}
        self._put(Kind.ADD, when, request, answer, **options)

    def update(self, when: When, id_: str, answered: int | State | None = None, **options: Any) -> None:
        """Changes by name; `answered` is the version or the memory that the answer shows."""
        names = ("text", "metadata", "expiration", "if_version")
        request = {"id": id_, **{name: options.pop(name) for name in names if name in options}}
        shown = {"version": answered} if isinstance(answered, int) else answered
        self._put(Kind.UPDATE, when, request, {"memory": shown} if shown else {}, **options)

    def delete(self, when: When, id_: str, **options: Any) -> None:
        """One memory."""
        self._put(Kind.DELETE, when, {"id": id_}, {}, **options)

    def delete_scope(self, when: When, scope: Mapping[str, str] = ZOE, **options: Any) -> None:
        """Everything of a scope."""
        self._put(Kind.SCOPE_DELETE, when, {"scope": dict(scope)}, {}, **options)

    def delete_matching(self, when: When, metadata: Mapping[str, Any], **options: Any) -> None:
        """What of Zoe's has this metadata."""
        self._put(Kind.FILTER_DELETE, when, {"scope": ZOE, "metadata": dict(metadata)}, {}, **options)

    def get(self, when: When, id_: str, shown: State | None) -> None:
        """One memory."""
        self._put(Kind.GET, when, {"id": id_}, {"memory": shown})

    def list(self, when: When, *shown: State) -> None:
        """All of Zoe's."""
        self._put(Kind.LIST, when, {"scope": ZOE, "limit": 100}, {"memories": list(shown)})

    def search(self, when: When, query: str, *shown: State) -> None:
        """A word among Zoe's."""
        self._put(Kind.SEARCH, when, {"scope": ZOE, "query": query, "limit": 100}, {"memories": list(shown)})

    def tell(self, when: When, id_: str, *events: EventSeen) -> None:
        """The history of a memory."""
        self._put(Kind.HISTORY, when, {"id": id_}, {"events": list(events)})

    def export(self, when: When, *events: EventSeen) -> None:
        """All memories of the tenant."""
        self._put(Kind.EXPORT, when, {}, {"events": list(events)})

    def _put(self, kind: Kind, when: When, request: Any, answer: Any, *, status: int = 200) -> None:
        """`status` 0: it is not known what became of it."""
        started, ended = when
        outcome = Outcome.UNKNOWN if not status or ended is None else Outcome.FAILED if status >= 400 else Outcome.OK
        told = {"status": status, **answer} if outcome is Outcome.OK else {"status": status} if status else {}
        number = len(self._operations)
        self._operations.append(Operation(number, number % 3, kind, started, ended, outcome, request, told))


#: Writes a short history.
Write = Callable[[Script], None]
