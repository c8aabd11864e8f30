"""Notes on what a message holds besides text: kind, type, address and name of images, audio, videos and files.

Their contents are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from forgetless.domain.spoken import valid_unicode

__all__ = ["attachment_of"]

_KINDS = ("image", "audio", "video")
#: What else the types of parts are called. mem0's own clients send mdx_url and pdf_url.
_FILES = ("file", "document", "pdf", "mdx")
_ADDRESSES = ("url", "uri", "image", "audio", "video", "file", "document", "data")
_MEDIA_TYPES = ("media_type", "mime_type", "mediaType", "mimeType")
_NAMES = ("filename", "file_name", "fileName", "file_id", "fileId")
#: Types with these words are what tools were asked and what they answered.
_TOOLS = ("tool", "call", "result")
#: A longer address, media type or name is left out.
_MOST_CHARS = 1000


def attachment_of(part: Mapping[str, Any]) -> dict[str, str] | None:
    """The note on a part of a message; None for one that is no image, audio, video or file, such as a tool's call."""
    values = list(_texts(part))
    address = next((text for name, text in values if _is_address(name, text)), "")
    media_type = next((text for name, text in values if name in _MEDIA_TYPES), "")
    if not media_type and address.startswith("data:"):
        media_type = address[5:_MOST_CHARS].partition(",")[0].partition(";")[0]
    kind = _kind(part, media_type)
    if kind is None:
        return None
    name = next((text for key, text in values if key in _NAMES), "")
    note = {"url": "" if address.startswith("data:") else address, "media_type": media_type, "name": name}
    return {"type": kind, **{key: valid_unicode(text) for key, text in note.items() if 0 < len(text) <= _MOST_CHARS}}


def _texts(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts of a part, and of the objects in it, by their names."""
    for name, value in part.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping):
            yield from ((inner, text) for inner, text in value.items() if isinstance(text, str))


def _is_address(name: str, text: str) -> bool:
    return name.lower().endswith(_ADDRESSES) and (text.startswith("data:") or "://" in text[:_MOST_CHARS])


def _kind(part: Mapping[str, Any], media_type: str) -> str | None:
    family = media_type.partition("/")[0].lower()
    if family in _KINDS:
        return family
    # Parts of Gemini have no type, and their names say it.
    named = part.get("type")
    names = [named.lower()] if isinstance(named, str) else [name.lower() for name in part]
    if any(word in name for name in names for word in _TOOLS):
        return None
    for kind, words in (*((kind, (kind,)) for kind in _KINDS), ("file", _FILES)):
        if any(word in name for name in names for word in words):
            return kind
    return "file" if media_type else None
