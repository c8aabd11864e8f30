"""The JSON schemas that tools announce: without references, as many hosts drop `$defs` and then refuse the tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["input_schema", "output_schema"]


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a tool's arguments."""
    return _inlined(model.model_json_schema())


def output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a tool's results."""
    return _inlined(model.model_json_schema(mode="serialization"))


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with each reference replaced by what it refers to. No model here contains itself."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        beside = {key: resolved(item) for key, item in value.items() if key != "$ref"}
        name = value.get("$ref")
        return beside if name is None else {**resolved(definitions[name.rpartition("/")[2]]), **beside}

    found: dict[str, Any] = resolved(schema)
    return found
