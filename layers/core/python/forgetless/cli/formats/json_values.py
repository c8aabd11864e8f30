"""Reads JSON values one after the other, and the elements of long lists, without holding the whole text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, TextIO

from forgetless.cli.formats.streams import LONGEST
from forgetless.domain.errors import InvalidRequestError

__all__ = ["JsonValues"]

_READ_CHARS = 64 * 1024
#: The longest beginning of a value (a number, a literal, an escape) that looks like a mistake at the end of a buffer.
_TAIL = 64
_SPACE = " \t\r\n"


class JsonValues:
    """The text of a stream, from left to right. Raises InvalidRequestError, with the line, for what is not JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def next_char(self) -> str:
        """The next character that is no white space, which stays; "" at the end."""
        while True:
            while self._at < len(self._text):
                if (char := self._text[self._at]) not in _SPACE:
                    return char
                self._at += 1
            if not self._more():
                return ""

    def takes(self, char: str) -> bool:
        """Whether this is the next character; it is passed if so."""
        if self.next_char() != char:
            return False
        self._at += 1
        return True

    def value(self) -> Any:
        """The next value, whole."""
        self.next_char()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                if self._is_cut_off(error) and self._more():
                    continue
                raise self._fault(error.msg, error.pos) from None
            except ValueError:  # Python reads no number of more than 4,300 digits
                raise self._fault("a number in it has too many digits to be read", self._at) from None
            except RecursionError:
                raise self._fault("it nests too deeply to be read", self._at) from None
            # A number at the end of what was read may go on.
            if end < len(self._text) or not self._more():
                self._at = end
                return value

    def elements(self) -> Iterator[Any]:
        """The elements of the list that comes next."""
        self._expect("[")
        if self.takes("]"):
            return
        while True:
            yield self.value()
            if self.takes("]"):
                return
            self._expect(",")

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next. Read the value of each before you ask for the next key."""
        self._expect("{")
        if self.takes("}"):
            return
        while True:
            if self.next_char() != '"':
                raise self._fault("expected a key in quotes", self._at)
            key = self.value()
            self._expect(":")
            yield key
            if self.takes("}"):
                return
            self._expect(",")

    def _expect(self, char: str) -> None:
        if not self.takes(char):
            raise self._fault(f"expected {char}", self._at)

    def _is_cut_off(self, error: JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _TAIL

    def _more(self) -> bool:
        """Read as much again as is waiting; False at the end."""
        waiting = len(self._text) - self._at
        if waiting > LONGEST:
            raise self._fault(f"a value has more than {LONGEST} characters", self._at)
        if self._ended:
            return False
        try:
            more = self._stream.read(max(_READ_CHARS, waiting))
        except UnicodeDecodeError as error:
            raise self._fault(f"it is not UTF-8 ({error.reason})", len(self._text)) from None
        self._ended = not more
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def _fault(self, what: str, place: int) -> InvalidRequestError:
        end = "" if place < len(self._text) else "; the file ends too early"
        return InvalidRequestError(f"line {self._line + self._text.count(chr(10), 0, place)}: not JSON: {what}{end}")
