"""Shaping: fills a JSON schema from memories without an LLM, by the names of its properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import FIELDS, Kind

__all__ = ["MOST_STEPS", "shape"]

_MAX_DEPTH = 8
#: The most steps of one shaping: a property, or a memory that is looked at for one. A few properties that refer to what
#: they are part of would otherwise be followed a billion times, and those of a long schema for each memory.
MOST_STEPS = 500_000
#: The fields of a memory that a property may name; "memory" is another name for the text.
_SHAPED = tuple(field for field in FIELDS if field.shaped)


def shape(schema: Mapping[str, Any], memories: Sequence[Memory]) -> Any:
    """A value of the form that the schema describes.

    A list of objects gets one object for each memory. A list of single values gets one value from each memory whose
    fields, metadata or categories have the name of the property, or from all memories if none has. A single value comes
    from the newest memory that has this name. If there is nothing for a property, it is null or empty.

    Raises InvalidRequestError if that takes more than MOST_STEPS.
    """
    return _Shaping(schema).value(schema, "", [_Named(memory) for memory in memories], 0)


class _Shaping:
    """One shaping: the schema, and the steps that are left."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MOST_STEPS

    def value(self, part: Any, name: str, memories: Sequence[_Named], depth: int) -> Any:
        """The value of a part of the schema, which is the property of this name."""
        self._step(1)
        part = _resolved(part, self._root)
        kind = _kind(part)
        if depth > _MAX_DEPTH:
            return None
        if kind == "array":
            return self._list(_resolved(part.get("items") or {}, self._root), name, memories, depth)
        if kind == "object":
            properties = part.get("properties")
            properties = properties if isinstance(properties, Mapping) else {}
            return {key: self.value(one, str(key), memories, depth + 1) for key, one in properties.items()}
        self._step(len(memories))
        return next((value for one in memories if one.holds(name) and _fits(value := one.value(name), kind)), None)

    def _list(self, item: Mapping[str, Any], name: str, memories: Sequence[_Named], depth: int) -> list[Any]:
        kind = _kind(item)
        if kind == "object":
            return [self.value(item, "", [one], depth + 1) for one in memories]
        self._step(len(memories))
        about = [one for one in memories if one.holds(name)] or memories
        return [value for one in about if _fits(value := one.value(name), kind)]

    def _step(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise InvalidRequestError(
                f"schema: to fill it from these memories takes more than {MOST_STEPS} steps, one for each property and "
                "memory; name fewer properties, or narrow the filters."
            )


@dataclass(frozen=True)
class _Named:
    """A memory by the names that a property may have."""

    memory: Memory

    def holds(self, name: str) -> bool:
        """Whether a field, a key of the metadata or a category has the name."""
        return name in self._fields or name in self.memory.metadata or _folded(name) in self._categories

    def value(self, name: str) -> Any:
        """The memory's value for a name: a field, or else a key of its metadata, or else its text."""
        return self._fields[name] if name in self._fields else self.memory.metadata.get(name, self.memory.text)

    @cached_property
    def _fields(self) -> dict[str, Any]:
        memory = self.memory
        values = {field.name: getattr(memory, field.name) for field in _SHAPED}
        lists = {field.name: list(values[field.name]) for field in _SHAPED if field.kind is Kind.TEXTS}
        return {**values, **lists, "memory": memory.text, **memory.scope.ids()}

    @cached_property
    def _categories(self) -> frozenset[str]:
        return frozenset(map(_folded, self.memory.categories))


def _resolved(part: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that `$ref` refers to, or the first choice of `anyOf` or `oneOf` that is not null."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(part, Mapping):
            return {}
        reference = part.get("$ref")
        if isinstance(reference, str):
            target: Any = root
            for step in reference.removeprefix("#/").split("/"):
                target = target.get(step) if isinstance(target, Mapping) else None
            part = target
            continue
        choices = part.get("anyOf") or part.get("oneOf")
        if not isinstance(choices, list):
            return part
        part = next((one for one in choices if isinstance(one, Mapping) and one.get("type") != "null"), {})
    return {}


def _kind(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), None)
    return kind if isinstance(kind, str) else ("object" if "properties" in part else "string")


def _fits(value: Any, kind: str) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) if kind == "string" else True


def _folded(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").casefold()
