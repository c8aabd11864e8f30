"""Shaping: memories into a JSON schema without an LLM, by the names of its properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import FIELDS, Kind

__all__ = ["shape"]

_MAX_DEPTH = 8
#: Fields that a property may name; "memory" is another name of the text.
_SHAPED = tuple(field for field in FIELDS if field.shaped)


def shape(schema: Mapping[str, Any], memories: Sequence[Memory]) -> Any:
    """A value of the schema's form.

    A list of objects gets one for each memory, a list of texts the texts of the memories whose categories or metadata
    name the property (all, where none does), a single value the newest memory's; what nothing names is null or empty.
    """
    return _value(schema, "", memories, schema, 0)


def _value(part: Mapping[str, Any], name: str, memories: Sequence[Memory], root: Mapping[str, Any], depth: int) -> Any:
    part = _resolved(part, root)
    kind = _kind(part)
    if depth > _MAX_DEPTH:
        return None
    if kind == "array":
        item = _resolved(part.get("items") or {}, root)
        if _kind(item) == "object":
            return [_value(item, "", [memory], root, depth + 1) for memory in memories]
        return [value for memory in _about(name, memories) if _fits(value := _named(name, memory), _kind(item))]
    if kind == "object":
        properties = part.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        return {
            key: _value(one if isinstance(one, Mapping) else {}, str(key), memories, root, depth + 1)
            for key, one in properties.items()
        }
    return next(
        (value for memory in memories if _holds(name, memory) and _fits(value := _named(name, memory), kind)), None
    )


def _resolved(part: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part behind `$ref`, or the first of `anyOf` that is not null."""
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


def _about(name: str, memories: Sequence[Memory]) -> Sequence[Memory]:
    """The memories that a property names; all, where it names none of them."""
    return [memory for memory in memories if _holds(name, memory)] or memories


def _holds(name: str, memory: Memory) -> bool:
    return name in _fields(memory) or name in memory.metadata or _folded(name) in map(_folded, memory.categories)


def _named(name: str, memory: Memory) -> Any:
    """What a memory has under the name: a field, a key of its metadata, else its text."""
    fields = _fields(memory)
    return fields[name] if name in fields else memory.metadata.get(name, memory.text)


def _fields(memory: Memory) -> dict[str, Any]:
    values = {field.name: getattr(memory, field.name) for field in _SHAPED}
    lists = {field.name: list(values[field.name]) for field in _SHAPED if field.kind is Kind.TEXTS}
    return {**values, **lists, "memory": memory.text, **memory.scope.ids()}


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
