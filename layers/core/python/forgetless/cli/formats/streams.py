"""Streams whose beginning can be looked at before they are read, also from a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, AnyStr, BinaryIO

from forgetless.domain.errors import InvalidRequestError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HEAD_BYTES", "LONGEST", "head_of", "lines_of", "rejoined"]

#: How much of a file is looked at to recognise it.
HEAD_BYTES = 64 * 1024
#: The longest line, and the longest value of JSON, that is read at once: a memory with its vector has far fewer.
LONGEST = 64 * 1024 * 1024


def head_of(stream: BinaryIO, size: int = HEAD_BYTES) -> bytes:
    """The first bytes: `size` of them, or all if there are fewer."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def lines_of(stream: IO[AnyStr]) -> Iterator[AnyStr]:
    """The lines; raises InvalidRequestError for one that is so long that it could fill the memory."""
    number = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise InvalidRequestError(f"a line, {number} lines on, is longer than {LONGEST} characters")
        yield line


def rejoined(head: bytes, rest: BinaryIO) -> io.BufferedReader:
    """The whole stream again, after its head was read."""
    return io.BufferedReader(_Rejoined(head, rest), buffer_size=HEAD_BYTES)


class _Rejoined(io.RawIOBase):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        part = self._head[: len(target)] if self._head else memoryview(self._rest.read(len(target)))
        if self._head:
            self._head = self._head[len(part) :]
        target[: len(part)] = part
        return len(part)
