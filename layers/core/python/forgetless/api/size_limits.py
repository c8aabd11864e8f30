"""The sizes of what a request contains: marks that the wire models carry, and the check of a request against them.

Every field of a wire model that holds a text, a list or an object has a mark. A mark names a number, or a limit that
the operator may set (a field of RequestLimits). The check runs for every endpoint and tool, before it is called. Errors
are 400 in every dialect and name the field and the limit. docs/api.md lists the limits.

Marks of lists and objects also count entries while a model is read, before any of them is: to judge 100,000 wrong ones
and to say what is wrong with each took a second. Whoever reads a model gives the limits as pydantic's context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, Field, GetCoreSchemaHandler, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from forgetless.api.field_checks import Text
from forgetless.api.json_response import json_bytes
from forgetless.domain.errors import FilterError, InvalidRequestError
from forgetless.domain.identifiers import id_text
from forgetless.domain.limits import MAX_METADATA_BYTES, MAX_WORD_CHARS, RequestLimits
from forgetless.domain.metadata import METADATA_TOO_LARGE

__all__ = [
    "MAX_WORD_CHARS",
    "Bound",
    "Chars",
    "CheckedBy",
    "CountedBy",
    "CustomCategories",
    "Entries",
    "FilterNodes",
    "Filters",
    "Id",
    "Instructions",
    "JsonBytes",
    "MemoryText",
    "MessageSizes",
    "Metadata",
    "Note",
    "Query",
    "Word",
    "check_arguments",
    "check_chars",
    "check_filter_size",
    "check_sizes",
    "marks_of",
]

#: The most characters of a description.
MAX_NOTE_CHARS = 10_000
#: The most characters of a parameter in a path or a query, and how often one parameter may be repeated.
MAX_PARAMETER_CHARS, MAX_PARAMETERS = 20_000, 1000
#: The most categories of a project.
MAX_CATEGORIES = 1000
#: The most bytes of all filters of a request, as JSON.
MAX_FILTER_BYTES = 512 * 1024


class Mark(Protocol):
    """What a field of a wire model says about its size."""

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        """Raise InvalidRequestError, which names the field and the limit, if the value is too large."""


@dataclass(frozen=True, slots=True)
class Chars:
    """The most characters of a text, or of each text of a list; `most` is a number or a field of RequestLimits."""

    most: int | str

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        most = _number(self.most, limits)
        for place, text in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(text, str) and len(text) > most:
                check_chars(name if place is None else f"{name}[{place}]", text, most)


class Bound:
    """A mark of a list or an object that is also checked before pydantic reads the entries."""

    __slots__ = ()

    def check_first(self, name: str, value: Any, limits: RequestLimits) -> None:
        """Raise InvalidRequestError if the value, which may be of any type, has more entries than are ever allowed."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(value: Any, info: ValidationInfo) -> Any:
            # Without a context, the operator's limits are checked later.
            if isinstance(value, list | Mapping) and isinstance(info.context, RequestLimits):
                self.check_first((info.field_name or "value").rstrip("_"), value, info.context)
            return value

        return BeforeValidator(checked).__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True, slots=True)
class Entries(Bound):
    """The most entries of a list, or keys of an object."""

    most: int | str

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        most = _number(self.most, limits)
        if isinstance(value, list | Mapping) and len(value) > most:
            raise InvalidRequestError(f"{name}: it has {len(value)} entries; at most {most} are allowed.")

    check_first = check


@dataclass(frozen=True, slots=True)
class JsonBytes(Bound):
    """The most bytes of a value as JSON."""

    most: int = MAX_METADATA_BYTES

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        del limits
        size = len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _json(name, value))
        if size > self.most:
            raise InvalidRequestError(f"{name}: it has {size} bytes of JSON; at most {self.most} are allowed.")

    check_first = check


@dataclass(frozen=True, slots=True)
class FilterNodes(Bound):
    """A filter: its keys and list entries count together with those of the other filters of the request."""

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        check_filter_size({name: value}, limits)

    def check_first(self, name: str, value: Any, limits: RequestLimits) -> None:
        _check_nodes({name: value}, limits)


@dataclass(frozen=True, slots=True)
class MessageSizes(Bound):
    """The messages of an add: how many they are, and the texts of each."""

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        Entries("messages").check(name, value, limits)
        for place, said in enumerate(value):
            check_chars(f"{name}[{place}].role", said.role, MAX_WORD_CHARS)
            check_chars(f"{name}[{place}].content", said.content, limits.message_chars)
            check_chars(f"{name}[{place}].name", said.name or "", MAX_WORD_CHARS)

    def check_first(self, name: str, value: Any, limits: RequestLimits) -> None:
        if isinstance(value, list):
            Entries("messages").check(name, value, limits)


@dataclass(frozen=True, slots=True)
class CheckedBy:
    """The size is checked where the value is read, by the function of this name."""

    function: str

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        del name, value, limits


@dataclass(frozen=True, slots=True)
class CountedBy(Bound):
    """The same for a list or an object; `first` checks the number of its entries before they are read."""

    function: str
    first: Callable[[int, RequestLimits], None]

    def check(self, name: str, value: Any, limits: RequestLimits) -> None:
        del name, value, limits

    def check_first(self, name: str, value: Any, limits: RequestLimits) -> None:
        del name
        self.first(len(value), limits)


_MARKS = (Chars, Entries, JsonBytes, FilterNodes, MessageSizes, CheckedBy, CountedBy)


def _check_keys(number: int, limits: RequestLimits) -> None:
    del limits
    # The shortest of them, `"":0`, has four bytes.
    if number > MAX_METADATA_BYTES // 4:
        raise InvalidRequestError(METADATA_TOO_LARGE)


#: A filter.
Filters = Annotated[dict[str, Any], FilterNodes()]
#: What a memory stores beside its text.
Metadata = Annotated[dict[str, Any], CountedBy("check_metadata", _check_keys)]
#: An id of a user, agent, app or run; many applications number theirs.
Id = Annotated[Text, BeforeValidator(id_text), CheckedBy("check_identifier")]
#: Categories of a project or an add: their names, with what each is for. One that is wrong is enough to be told of.
CustomCategories = Annotated[
    list[Annotated[dict[str, Text], Entries(MAX_CATEGORIES)]],
    Field(fail_fast=True),
    Entries(MAX_CATEGORIES),
    JsonBytes(),
]
#: A short text.
Word = Annotated[Text, Chars(MAX_WORD_CHARS)]
#: A description.
Note = Annotated[Text, Chars(MAX_NOTE_CHARS)]
#: The text of a message or a memory.
MemoryText = Annotated[Text, Chars("message_chars")]
#: What a search looks for.
Query = Annotated[Text, Chars("query_chars")]
#: Instructions for the LLM.
Instructions = Annotated[Text, Chars("prompt_chars")]


def check_arguments(arguments: Mapping[str, Any], limits: RequestLimits) -> None:
    """Check the arguments of an endpoint: its body, and its parameters from path and query."""
    for name, value in arguments.items():
        if isinstance(value, BaseModel):
            check_sizes(value, limits)
        elif isinstance(value, str | list):
            Entries(MAX_PARAMETERS).check(name, value, limits)
            Chars(MAX_PARAMETER_CHARS).check(name, value, limits)


def check_sizes(model: BaseModel, limits: RequestLimits, *, within: str = "") -> None:
    """Raise InvalidRequestError if a field of the model, or of a model in it, is too large."""
    filters: dict[str, Any] = {}
    for field, shown, marks in _marked_fields(type(model)):
        value = getattr(model, field)
        name = f"{within}{shown}"
        if value is None:
            continue
        for mark in marks:
            if isinstance(mark, FilterNodes):
                filters[name] = value
            else:
                mark.check(name, value, limits)
        if isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, BaseModel):
                    check_sizes(item, limits, within=f"{name}[{place}].")
    check_filter_size(filters, limits)


@cache
def _marked_fields(model: type[BaseModel]) -> list[tuple[str, str, list[Mark]]]:
    """The fields of a model, each with the name that clients know and its marks."""
    return [(field, info.alias or field, marks_of(info)) for field, info in model.model_fields.items()]


def marks_of(info: FieldInfo) -> list[Mark]:
    """The marks of a field, also those inside `X | None`."""
    found: list[Any] = [*info.metadata]
    waiting = [info.annotation]
    while waiting:
        kind = waiting.pop()
        found += getattr(kind, "__metadata__", ())
        waiting += _inner(kind)
    return [mark for mark in found if isinstance(mark, _MARKS)]


def check_chars(name: str, text: str, most: int) -> str:
    """The text; raises InvalidRequestError, which names the field and the limit, if it is longer."""
    if len(text) > most:
        raise InvalidRequestError(f"{name}: it has {len(text)} characters; at most {most} are allowed.")
    return text


def check_filter_size(filters: Mapping[str, Any], limits: RequestLimits) -> None:
    """Raise FilterError if the filters of a request, by field, are too large together.

    Every key, operator, group and list entry counts, also an empty group: each is judged for each memory.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    _check_nodes(given, limits)
    size = sum(len(_json(name, value)) for name, value in given.items())
    if size > MAX_FILTER_BYTES:
        raise FilterError(f"{', '.join(given)}: {size} bytes of JSON together; at most {MAX_FILTER_BYTES} are allowed")


def _check_nodes(given: Mapping[str, Any], limits: RequestLimits) -> None:
    nodes, waiting = 0, list(given.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | Mapping):
            nodes += len(value)
            waiting += value.values() if isinstance(value, Mapping) else value
        if nodes > limits.filter_nodes:
            raise FilterError(
                f"{', '.join(given)}: more than {limits.filter_nodes} keys, groups and list entries together; "
                "narrow the filter"
            )


def _inner(kind: Any) -> Iterable[Any]:
    # The fields of a model, and the texts in a list of models, have marks of their own.
    return () if isinstance(kind, type) else getattr(kind, "__args__", ())


def _number(most: int | str, limits: RequestLimits) -> int:
    return most if isinstance(most, int) else int(getattr(limits, most))


def _json(name: str, value: Any) -> bytes:
    try:
        return json_bytes(value)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{name}: it nests too deeply; flatten it.") from None
