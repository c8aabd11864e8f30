"""Compressed streams that end before they fill the machine: no file of memories grows a hundredfold and more."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from forgetless.domain.errors import InvalidRequestError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["MOST_FOLD", "Counted", "Expanded"]

#: How many times as large as the file its content may be. JSON of memories becomes some ten times smaller.
MOST_FOLD = 200
#: Content up to this size may be any number of times as large.
_FREE_BYTES = 256 * 1024 * 1024


class Counted(io.RawIOBase):
    """A stream that knows how many bytes were read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        part = self._stream.read(len(target))
        self.count += len(part)
        target[: len(part)] = part
        return len(part)


class Expanded(Counted):
    """The content of a compressed stream; raises InvalidRequestError when it is too large for what it was made from.

    `compressed` is where that is read, or its size.
    """

    def __init__(self, content: BinaryIO, compressed: Counted | int) -> None:
        super().__init__(content)
        self._compressed = compressed

    def readinto(self, buffer: WriteableBuffer) -> int:
        length = super().readinto(buffer)
        made_from = self._compressed if isinstance(self._compressed, int) else self._compressed.count
        if self.count > max(_FREE_BYTES, MOST_FOLD * made_from):
            raise InvalidRequestError(
                f"its content is more than {MOST_FOLD} times as large as the compressed file, so it is no file of "
                "memories; if it is, decompress it and import that"
            )
        return length
