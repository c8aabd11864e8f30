"""Reads the arguments of a call as loosely as hosts and models write them, without ignoring any in silence.

Hosts add arguments of their own, send null for what they leave out, and send objects and lists as JSON in a string.
A model can repair none of this, so it is understood here, before the tool's own model checks the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from forgetless.api.mcp.schemas import input_schema
from forgetless.api.mcp.wire import Arguments
from forgetless.api.value_count import check_value_count, json_work, read_counted
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import RequestLimits

__all__ = ["HOST_ARGUMENTS", "ignored_note", "read_arguments", "unknown_arguments"]

A = TypeVar("A", bound=Arguments)

#: What hosts are known to add to every call (n8n), and what callers of mem0's own server may send.
HOST_ARGUMENTS = frozenset({"toolCallId", "sessionId", "action", "chatInput", "enable_graph"})
#: How many unknown arguments are named, and how much of each name is shown.
_MOST_NAMED, _NAME_CHARS = 20, 64


def read_arguments(model: type[A], given: Mapping[str, Any], limits: RequestLimits) -> A:
    """The arguments that the model knows; raises pydantic's ValidationError for values that it refuses,
    and InvalidRequestError if there are too many."""
    objects = _without_text(model)
    values = {
        name: _read(name, value) if name in objects else value
        for name, value in given.items()
        if name in model.model_fields
    }
    check_value_count(values)
    present = {name: value for name, value in values.items() if value is not None}
    return model.model_validate(present, context=limits)


def unknown_arguments(tool: str, model: type[Arguments], given: Mapping[str, Any], *, forgiving: bool) -> list[str]:
    """The names of the arguments that are ignored.

    Unless the tool is `forgiving`, raises InvalidRequestError for a name that no host is known to add: it may be meant
    to narrow what is changed.
    """
    unknown = [name for name, value in given.items() if name not in model.model_fields and value is not None]
    refused = [] if forgiving else [name for name in unknown if name not in HOST_ARGUMENTS]
    if refused:
        raise InvalidRequestError(
            f"{_shown(refused)}: {tool} has no such argument; it has {', '.join(model.model_fields)}."
        )
    return [_name(name) for name in unknown[:_MOST_NAMED]]


def ignored_note(ignored: list[str]) -> str:
    """What the text of an error says about ignored arguments; "" if there are none."""
    return f" Ignored, because the tool has no such argument: {_shown(ignored)}." if ignored else ""


@cache
def _without_text(model: type[Arguments]) -> frozenset[str]:
    """The parameters that are objects or lists, and never text."""
    kinds = {
        name: {one.get("type") for one in (schema, *schema.get("anyOf", ()))}
        for name, schema in input_schema(model)["properties"].items()
    }
    return frozenset(name for name, types in kinds.items() if types & {"object", "array"} and "string" not in types)


def _read(name: str, value: Any) -> Any:
    """The value itself, or what its text says in JSON; raises InvalidRequestError if that has too many values."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "surrogatepass")
    try:
        with json_work(text):
            return read_counted(text, name=name)
    except (ValueError, RecursionError):
        return value


def _shown(names: list[str]) -> str:
    return ", ".join(_name(name) for name in names[:_MOST_NAMED])


def _name(name: str) -> str:
    return name[:_NAME_CHARS].encode("utf-8", "backslashreplace").decode()
