"""Finds the JSON objects and lists in a text that need not be JSON, in one pass, whatever the text contains."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field

__all__ = ["DEEPEST", "CostlyTextError", "JsonScan", "JsonSpan"]

#: Values that are nested deeper are left out: parsers refuse them.
DEEPEST = 200

_OPENING = re.compile(r"[{\[]")
#: The repetitions give nothing back, so a match that fails costs one look at each character.
_FORMS = r"""
    (?P<space>[ \t\r\n]++)
    | (?P<mark>[{}\[\],:])
    | (?P<text>"(?:[^"\\]++|\\.)*+")
    | (?P<plain>-?[0-9]++(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null)
    """
_TOKEN = re.compile(_FORMS, re.DOTALL | re.VERBOSE)
#: The same, and what Python prints of an object.
_PYTHON_FORMS = r"| (?P<single>'(?:[^'\\]++|\\.)*+') | (?P<name>True|False|None)"
_PYTHON_TOKEN = re.compile(_FORMS + _PYTHON_FORMS, re.DOTALL | re.VERBOSE)
_JSON_NAMES = {"True": "true", "False": "false", "None": "null"}
_KINDS = {"single": "text", "name": "plain"}
#: What is written otherwise in a JSON string than in one of Python in single quotes.
_QUOTED = re.compile(r"\\x(?P<hex>[0-9a-fA-F]{2})|\\(?P<escaped>.)|\"", re.DOTALL)

#: What may stand next: by state, the kinds of token and the states after them. A comma may stand before the end.
_VALUE = {"text": "after", "plain": "after", "{": "object", "[": "list"}
_NEXT = {
    "object": {"text": "colon", "}": "after"},
    "key": {"text": "colon", "}": "after"},
    "colon": {":": "value"},
    "value": _VALUE,
    "list": {**_VALUE, "]": "after"},
    "item": {**_VALUE, "]": "after"},
    "after": {",": "comma", "}": "after", "]": "after"},
}
_CLOSES = {"}": "{", "]": "["}


#: What a value counts that is found, in steps.
_SPAN_STEPS = 5


class CostlyTextError(Exception):
    """A text has so many brackets and values that reading it takes more steps than it may."""


@dataclass(frozen=True, slots=True)
class JsonSpan:
    """A balanced value that stands in no other one: its place, its text as strict JSON, and as it stands (`source`)."""

    start: int
    end: int
    text: str
    source: str

    def value(self) -> object:
        """The object or list; None if a number in it is none, as 007."""
        try:
            return json.loads(self.text, strict=False)
        except ValueError:
            return None


@dataclass(slots=True)
class JsonScan:
    """One pass over a text. `read` counts the characters that were looked at, so that a test can bound them.

    With `python`, strings may stand in single quotes, and True, False and None are values: {'facts': [None]}. The pass
    raises CostlyTextError when it has taken `most` steps: a character that stands alone takes as long as a long string.
    """

    text: str
    python: bool = False
    most: float = math.inf
    steps: int = 0
    spans: list[JsonSpan] = field(default_factory=list)
    read: int = 0
    _open: list[str] = field(default_factory=list)
    _start: int = 0
    _deepest: int = 0
    #: What is not strict JSON, in order: start, end, and what stands there instead. A comma before an end is one.
    _edits: list[tuple[int, int, str]] = field(default_factory=list)
    _comma: int = 0

    def run(self) -> bool:
        """Fill `spans`; returns whether the text ends within a value."""
        place, state = 0, ""
        while place < len(self.text):
            self.steps += 1
            if self.steps > self.most:
                raise CostlyTextError
            if not self._open:
                found = _OPENING.search(self.text, place)
                self.read += (found.end() if found else len(self.text)) - place
                if found is None:
                    return False
                self._start, self._deepest, self._edits = found.start(), 0, []
                state, place = self._enter(found.group()), found.end()
                continue
            token = (_PYTHON_TOKEN if self.python else _TOKEN).match(self.text, place)
            self.read += token.end() - place if token else self._unread(place)
            if token is not None and token.lastgroup == "space":
                place = token.end()
                continue
            state = self._after(state, token) if token else ""
            if not state:
                # Not JSON: no value that is open here can be one. The text here may begin another value.
                if token is None and self.text[place] == '"':
                    return True  # a string without an end
                self._open.clear()
                continue
            assert token is not None
            place = token.end()
        return bool(self._open)

    def _unread(self, place: int) -> int:
        """How many characters a match has read that failed: all that follow for a string without an end.

        For one in single quotes this happens once at most: the next such string would be its end.
        """
        return len(self.text) - place if self.text[place] in ('"', "'" if self.python else '"') else 1

    def _after(self, state: str, token: re.Match[str]) -> str:
        """The state after the token; empty if it must not stand here."""
        form = str(token.lastgroup)
        kind = token.group() if form == "mark" else _KINDS.get(form, form)
        after = _NEXT[state].get(kind, "")
        if form in _KINDS:
            self._edits.append((token.start(), token.end(), _json_form(token)))
        if kind in _CLOSES:
            return self._leave(kind, token, state) if after else ""
        if after in {"object", "list"}:
            return self._enter(kind)
        if after == "comma":
            self._comma = token.start()
            return "key" if self._open[-1] == "{" else "item"
        return after

    def _enter(self, mark: str) -> str:
        self._open.append(mark)
        self._deepest = max(self._deepest, len(self._open))
        return "object" if mark == "{" else "list"

    def _leave(self, mark: str, token: re.Match[str], state: str) -> str:
        if self._open[-1] != _CLOSES[mark]:
            return ""
        self._open.pop()
        if state in {"key", "item"}:
            self._edits.append((self._comma, self._comma + 1, ""))  # nothing follows it
        if not self._open and self._deepest <= DEEPEST:
            end = token.end()
            self.steps += _SPAN_STEPS
            self.spans.append(JsonSpan(self._start, end, self._strict(end), self.text[self._start : end]))
        return "after"

    def _strict(self, end: int) -> str:
        parts, place = [], self._start
        for start, after, instead in self._edits:
            parts += [self.text[place:start], instead]
            place = after
        return "".join([*parts, self.text[place:end]])


def _json_form(token: re.Match[str]) -> str:
    """A string or a name of Python in JSON. An escape that JSON does not know makes the value unreadable."""
    if token.lastgroup == "name":
        return _JSON_NAMES[token.group()]
    return f'"{_QUOTED.sub(_json_escape, token.group()[1:-1])}"'


def _json_escape(found: re.Match[str]) -> str:
    if found["hex"]:
        return f"\\u00{found['hex']}"
    if found["escaped"] is None:
        return '\\"'
    return "'" if found["escaped"] == "'" else found.group()
