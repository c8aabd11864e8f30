"""Reads the records of lists and pages: of mem0's and its Platform's, of Qdrant's scroll, and of OpenMemory's export.

A file may have several pages one after the other, as a loop of requests writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from forgetless.cli.formats.json_values import JsonValues
from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.openmemory import Surroundings

__all__ = ["Found", "is_page", "records"]

#: Where lists are within a page, from the outside in.
_LISTS = frozenset({"results", "memories", "points"})
_WRAPPERS = frozenset({"result"})
#: Long lists of OpenMemory's export that an import does not use.
_UNUSED = frozenset({"memory_categories", "status_history", "access_controls"})
#: Where a page says that there is another one: the Platform's, and Qdrant's.
_NEXT = ("next", "next_page_offset")


class Found(NamedTuple):
    """A record, and what was read of the object around it before."""

    record: Any
    around: Surroundings


def is_page(value: Any) -> bool:
    """Whether the value has records in it and is none itself."""
    if isinstance(value, Mapping):
        return any(isinstance(value.get(name), list) for name in _LISTS) or isinstance(value.get("result"), Mapping)
    return isinstance(value, list)


def records(stream: TextIO, notes: Notes) -> Iterator[Found]:
    """All records of the stream; notes get a warning if its last page says that there are more."""
    values = JsonValues(stream)
    more: dict[str, Any] = {}
    while values.next_char():
        more.clear()
        yield from _records(values, more)
    if more:
        name, value = next(iter(more.items()))
        notes.warn(
            f"there are more memories than this file has: its last page has {name}: {str(value)[:200]}; fetch the "
            "pages that follow, and import them too"
        )


def _records(values: JsonValues, more: dict[str, Any]) -> Iterator[Found]:
    """The records of the next value, which may be one itself."""
    first = values.next_char()
    if first == "[":
        yield from (Found(one, Surroundings()) for one in values.elements())
        return
    if first != "{":
        yield Found(values.value(), Surroundings())
        return
    fields: dict[str, Any] = {}
    page = False
    for key in values.members():
        inside = values.next_char()
        if key in _LISTS and inside == "[":
            page = True
            around = Surroundings.of(fields)
            yield from (Found(one, around) for one in values.elements())
        elif key in _WRAPPERS and inside == "{":
            page = True
            yield from _records(values, more)
        elif key in _UNUSED and inside == "[":
            for _ in values.elements():
                pass
        else:
            fields[key] = values.value()
    more |= {name: fields[name] for name in _NEXT if fields.get(name) is not None}
    if not page and not more:
        yield Found(fields, Surroundings())
