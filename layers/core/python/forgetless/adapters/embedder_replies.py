"""Replies of embedding servers: the vectors in them, and what a refusal says about its reason."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import sys
from array import array
from collections.abc import Collection
from typing import Any

import orjson

__all__ = ["is_broken_vector", "limit_in", "named_fields", "vectors_of"]

#: How far a vector's norm may be from 1 before it is scaled.
_NORM_TOLERANCE = 1e-3
#: How much of a refusal is read: what it says stands at its beginning, and the texts may follow.
_READ_BYTES = 2048
#: What refusals say instead of a field's name.
_ALIASES = {"dimensions": ("dimension", "matryoshka"), "encoding_format": ("base64",)}
#: The most texts of a request, as servers say it: "maximum allowed batch size 32", "should not be larger than 10".
_LIMIT = re.compile(
    rb"(?:max(?:imum)?|larger than|at most|up to|limit|exceed\w*)\b[^\d]{0,40}(\d{1,4})\b", re.IGNORECASE
)
#: Only a refusal that speaks of several texts tells their number; others tell how long one may be.
_SEVERAL = re.compile(rb"batch|array|list|items|inputs|texts|number of|input length", re.IGNORECASE)
_LENGTH = re.compile(rb"token|character", re.IGNORECASE)
#: What servers say when a vector is no vector, with a status 500 that a retry would not change.
_BROKEN_VECTOR = re.compile(rb"\bNaN\b|unsupported value|[+-]Inf\b", re.IGNORECASE)


def vectors_of(body: bytes, count: int) -> list[list[float] | None]:
    """The vectors of a reply, in the order of the texts, of norm 1; None for a text that has no vector.

    Gemini leaves out an index of 0, and other servers leave out all of them: then the place in the list counts. Raises
    ValueError, which says what is wrong, for anything else than one vector for each of `count` texts.
    """
    try:
        rows = _json(body)["data"]
        placed = {_place(row, place): _vector(row["embedding"]) for place, row in enumerate(rows)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("is not a list of embeddings: check FORGETLESS_EMBEDDER_URL") from error
    if len(rows) != count or placed.keys() != set(range(count)):
        raise ValueError(f"does not number its {len(rows)} vectors from 0 to {count - 1}, one for each text")
    return [placed[place] for place in range(count)]


def named_fields(body: bytes, sent: Collection[str]) -> frozenset[str]:
    """Those of the `sent` fields that a refusal names."""
    text = body[:_READ_BYTES].decode("utf-8", "replace").lower()
    return frozenset(
        name
        for name in sent
        if re.search(rf"\b{name}\b", text) or any(alias in text for alias in _ALIASES.get(name, ()))
    )


def limit_in(body: bytes, count: int) -> int | None:
    """The most texts of a request, if a refusal of `count` texts says it; None if it does not."""
    text = body[:_READ_BYTES]
    if not _SEVERAL.search(text) or _LENGTH.search(text):
        return None
    found = [int(number) for number in _LIMIT.findall(text)]
    return max((number for number in found if 0 < number < count), default=None)


def is_broken_vector(body: bytes) -> bool:
    """Whether a server failed because a vector has values that are no numbers, as Ollama does."""
    return _BROKEN_VECTOR.search(body[:_READ_BYTES]) is not None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        # Servers in Python write NaN, which JSON does not have. The vectors beside it are good.
        try:
            return json.loads(body)
        except RecursionError as error:
            raise ValueError("it nests too deeply") from error


def _place(row: Any, place: int) -> int:
    index = row.get("index")
    if index is None:
        return place
    if not isinstance(index, int):
        raise TypeError("an index is a number")
    return index


def _vector(embedding: object) -> list[float] | None:
    """The vector of norm 1; None if it has no direction, or values that are no numbers."""
    if embedding is None:
        return None
    vector = _decoded(embedding)
    if vector is None:
        return None
    norm = math.hypot(*vector)
    if not math.isfinite(norm) or norm == 0.0:
        return None
    if abs(norm - 1.0) <= _NORM_TOLERANCE:
        return vector
    return [number / norm for number in vector]


def _decoded(embedding: object) -> list[float] | None:
    """The numbers of an embedding, which is base64 of little-endian float32 or a list; None if one of them is null."""
    if isinstance(embedding, str):
        floats = array("f")
        try:
            floats.frombytes(base64.b64decode(embedding, validate=True))
        except binascii.Error as error:
            raise ValueError("not base64") from error
        if sys.byteorder == "big":
            floats.byteswap()
        return floats.tolist()
    if not isinstance(embedding, list):
        raise TypeError("an embedding is a string or a list")
    return None if None in embedding else [float(number) for number in embedding]
