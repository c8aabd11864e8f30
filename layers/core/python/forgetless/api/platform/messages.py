"""Reads messages in every form that clients send: a string, an object or a list; with content as string or parts."""

from __future__ import annotations

from typing import Any

from forgetless.api.field_checks import check_unicode
from forgetless.api.size_limits import MAX_WORD_CHARS, Entries, check_chars
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import RequestLimits
from forgetless.service.requests import IncomingMessage

__all__ = ["read_messages"]

_ROLES = frozenset({"user", "assistant", "system", "tool"})


def read_messages(given: Any, limits: RequestLimits) -> tuple[IncomingMessage, ...]:
    """The messages that contain text; raises InvalidRequestError, which names the message that is wrong.

    Parts that are not text (images, documents) are ignored.
    """
    if isinstance(given, str | dict):
        given = [given]
    if not isinstance(given, list) or not given:
        raise InvalidRequestError("messages must be a list of {role, content}, or a string.")
    Entries("messages").check("messages", given, limits)
    read = [_message(place, one, limits) for place, one in enumerate(given)]
    kept = tuple(message for message in read if message.content.strip())
    if not kept:
        raise InvalidRequestError("messages contain no text; images and documents alone cannot be stored.")
    return kept


def _message(place: int, given: Any, limits: RequestLimits) -> IncomingMessage:
    name = f"messages[{place}]"
    if isinstance(given, str):
        given = {"role": "user", "content": given}
    if not isinstance(given, dict):
        raise InvalidRequestError(f"{name} must be an object {{role, content}}.")
    role = given.get("role", "user")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequestError(f"{name}.role must be one of user, assistant, system and tool.")
    speaker = given.get("name")
    if speaker is not None and not isinstance(speaker, str):
        raise InvalidRequestError(f"{name}.name must be a string.")
    text = _text(f"{name}.content", given.get("content"))
    check_chars(f"{name}.content", text, limits.message_chars)
    check_unicode(name, text)
    check_unicode(f"{name}.name", check_chars(f"{name}.name", speaker or "", MAX_WORD_CHARS))
    return IncomingMessage(role, text, speaker)


def _text(name: str, content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        raise InvalidRequestError(f"{name} must be a string or a list of parts.")
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text)
        elif not isinstance(part, dict):
            raise InvalidRequestError(f"{name}: each part must be a string or an object.")
    return "\n".join(texts)
