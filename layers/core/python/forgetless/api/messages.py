"""Reads the messages of an add, for every dialect: strict about what they mean, tolerant of how clients write it.

Messages come as a string, an object or a list. A content is a string, a part or a list of parts, or missing (a message
that only calls a tool). Text is kept; images, audio and files are noted. A message without text is skipped later, when
the add is made, so that an error here names its place in the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from forgetless.api.attachments import attachment_of
from forgetless.api.field_checks import check_unicode
from forgetless.api.size_limits import MessageSizes
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.spoken import ROLES, known_role, valid_unicode
from forgetless.service.requests import IncomingMessage

__all__ = ["MessageText", "Messages", "PlatformMessages"]

_NAME = "messages"
#: What a model thinks to itself is not said. OpenAI, Anthropic and Vercel name the type; Gemini marks the part.
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
#: The most attachments that are noted of a message, and of an add.
_MOST_NOTED, _MOST_OF_AN_ADD = 10, 100

_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "role": {"type": "string", "description": "user, assistant, system or tool."},
            "content": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
                "description": "The text, or parts such as {type: text, text: …}.",
            },
        },
        "required": ["role"],
    },
}


class _FormError(Exception):
    """A message that cannot be read; `place` leads from the field to what is wrong with it."""

    def __init__(self, place: tuple[int | str, ...], reason: str, given: Any, kind: str = "message_form") -> None:
        super().__init__(reason)
        self.place, self.reason, self.given, self.kind = place, reason, given, kind


def _read_for_mem0s_server(given: Any) -> list[IncomingMessage]:
    """As mem0's own server reads roles: each must be named, and may be any."""
    try:
        return _read(given, known_roles=False)
    except _FormError as error:
        kind = PydanticCustomError(error.kind, "{reason}", {"reason": error.reason})
        details = InitErrorDetails(type=kind, loc=error.place, input=error.given)
        raise ValidationError.from_exception_data(_NAME, [details]) from None


def _read_for_platform(given: Any) -> list[IncomingMessage]:
    """As the Platform reads roles: one of its own, and the user's if none is named."""
    try:
        found = _read(given, known_roles=True)
    except _FormError as error:
        raise InvalidRequestError(f"{_path(error.place)}: {error.reason}") from None
    if not found:
        raise InvalidRequestError(f"{_NAME} must be a list of {{role, content}}, or a string.")
    return found


#: The messages of a body in mem0's self-hosted dialect, and of a tool's call. A text is read as one message.
Messages = Annotated[
    list[IncomingMessage], PlainValidator(_read_for_mem0s_server), WithJsonSchema(_SCHEMA), MessageSizes()
]
#: The messages of a body in the Platform's dialect.
PlatformMessages = Annotated[
    list[IncomingMessage], PlainValidator(_read_for_platform), WithJsonSchema(_SCHEMA), MessageSizes()
]


def _read_text(given: Any) -> str:
    if not isinstance(given, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return valid_unicode(given)


#: The text of a message that stands alone.
MessageText = Annotated[str, PlainValidator(_read_text), WithJsonSchema({"type": "string"})]


def _read(given: Any, *, known_roles: bool) -> list[IncomingMessage]:
    if isinstance(given, str | Mapping):
        given = [given]
    if not isinstance(given, list):
        raise _FormError((), "must be a list of {role, content}, or a string", given, "list_type")
    left = _MOST_OF_AN_ADD
    found = []
    for place, one in enumerate(given):
        message = _message(place, one, known_roles=known_roles, most_noted=min(left, _MOST_NOTED))
        left -= len(message.attachments)
        found.append(message)
    return found


def _message(place: int, given: Any, *, known_roles: bool, most_noted: int) -> IncomingMessage:
    if isinstance(given, str):
        given = {"role": "user", "content": given}
    if not isinstance(given, Mapping):
        raise _FormError((place,), "must be an object {role, content}", given)
    role = _role(place, given, known_roles=known_roles)
    # Gemini's messages have `parts` in place of `content`.
    field = "parts" if given.get("content") is None and isinstance(given.get("parts"), list) else "content"
    text, attachments = _content((place, field), given.get(field))
    return IncomingMessage(role, text, _speaker(place, given.get("name")), tuple(attachments[:most_noted]))


def _role(place: int, given: Mapping[str, Any], *, known_roles: bool) -> str:
    role = given.get("role")
    # LangChain names the role in `type`.
    if role is None and isinstance(kind := given.get("type"), str) and known_role(kind):
        role = kind
    if role is None and known_roles:
        role = "user"
    if role is None:
        raise _FormError((place, "role"), "Field required", given, "missing")
    among = f"must be one of {', '.join(ROLES)}"
    if not isinstance(role, str):
        raise _FormError((place, "role"), among if known_roles else "must be a string", role, "string_type")
    meant = known_role(role)
    if meant is None and (known_roles or not role.strip()):
        raise _FormError((place, "role"), among, role)
    check_unicode(f"{_NAME}[{place}].role", role)
    return meant or role.strip()


def _speaker(place: int, given: Any) -> str | None:
    """The name of who spoke. It becomes the memory's `actor_id`, so it is read as an id is."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if given is not None and not isinstance(given, str):
        raise _FormError((place, "name"), "must be a string", given, "string_type")
    check_unicode(f"{_NAME}[{place}].name", given or "")
    return given


def _content(place: tuple[int | str, ...], content: Any) -> tuple[str, list[dict[str, str]]]:
    """The text of a content, and the notes on its attachments."""
    if content is None or isinstance(content, str):
        return valid_unicode(content or ""), []
    parts = [content] if isinstance(content, Mapping) else content
    if not isinstance(parts, list):
        raise _FormError(place, "must be a string or a list of parts", content, "string_type")
    texts, attachments = [], []
    for number, part in enumerate(parts):
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, Mapping):
            raise _FormError((*place, number), "each part must be a string or an object", part)
        elif (text := _text_of((*place, number), part)) is not None:
            texts.append(text)
        elif (note := attachment_of(part)) is not None:
            attachments.append(note)
    return valid_unicode("\n".join(filter(None, texts))), attachments


def _text_of(place: tuple[int | str, ...], part: Mapping[str, Any]) -> str | None:
    """The text of a part, "" of a thought; None if it is no text."""
    kind = part.get("type")
    if part.get("thought") is True or (isinstance(kind, str) and kind in _THOUGHTS):
        return ""
    text = part.get("text")
    if isinstance(text, Mapping):  # of OpenAI's Assistants
        text = text.get("value")
    if text is not None and not isinstance(text, str):
        raise _FormError((*place, "text"), "must be a string", text, "string_type")
    return text


def _path(place: tuple[int | str, ...]) -> str:
    return _NAME + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
