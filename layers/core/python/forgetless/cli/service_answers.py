"""What a service has answered, read with care: at the address that was given, any other program may listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from forgetless.cli.text import printable
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import parse_line
from forgetless.service.transfer.export_jobs import ExportPlace
from forgetless.service.transfer.import_check import ImportCounts
from forgetless.service.transfer.import_jobs import ImportPlace

__all__ = ["LINES", "Answer", "detail_of", "export_place", "import_counts", "import_place"]

#: The content type of an export's lines.
LINES = "application/x-ndjson"
#: The most characters of an answer that an error quotes.
_QUOTED = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service with status 200."""

    content: bytes
    #: By their names in lower case.
    headers: Mapping[str, str]
    #: The method and the path of the request.
    asked: str

    def odd(self, what: str) -> NoReturn:
        """Raise InvalidRequestError, because the answer is none of Forgetless."""
        raise InvalidRequestError(
            f"--url: the answer to {self.asked} is none that this Forgetless knows: {printable(what)}; check the "
            "address, and that the service has the same version as this command"
        )

    def lines(self) -> bytes:
        """The lines of an export."""
        kind = self.headers.get("content-type", "none")
        if kind.partition(";")[0].strip() != LINES:
            self.odd(f"its content type is {kind[:_QUOTED]}, and not {LINES}")
        if (packed := self.headers.get("content-encoding", "identity")) != "identity":
            self.odd(f"it is compressed ({packed[:_QUOTED]}), which nobody has asked for")
        return self.content

    def count(self, header: str) -> int:
        """The number in a header."""
        given = self.headers.get(header, "")
        if not (given.isascii() and given.isdecimal() and len(given) < 20):
            self.odd(f"its header {header} is no number")
        return int(given)

    def cursor(self, *, before: str | None) -> str | None:
        """Where the next portion begins; None if there is none."""
        following = self.headers.get("x-next-cursor")
        if following is not None and following == before:
            self.odd("its next portion is the same again")
        return following

    def members(self, checks: Mapping[str, Callable[[Any], bool]], *, later: str) -> dict[str, Any]:
        """The members of a JSON object, each of which passes its check. An earlier service leaves out `later`."""
        try:
            found = parse_line(self.content)
        except InvalidRequestError:
            found = None
        if not isinstance(found, dict):
            self.odd("expected an object of JSON")
        for name in checks.keys() - found.keys() - {later}:
            self.odd(f"{name} is missing")
        for name, value in found.items():
            if name not in checks:
                self.odd(f"it has {name[:_QUOTED]}")
            if not checks[name](value):
                self.odd(f"{name}: its value has another form")
        return found


def import_place(answer: Answer) -> ImportPlace:
    """How far an import has come."""
    return ImportPlace(**answer.members(_IMPORT_PLACE, later="left_out"))


def import_counts(answer: Answer, *, most: int) -> ImportCounts:
    """What was counted in at most so many lines."""
    counts = ImportCounts(**answer.members(_IMPORT_COUNTS, later="lines"))
    if counts.lines is not None and counts.lines > most:
        answer.odd("lines: there were not so many")
    return counts


def export_place(answer: Answer) -> ExportPlace:
    """How far an export has come."""
    return ExportPlace(**answer.members(_EXPORT_PLACE, later=""))


def detail_of(status: int, content: bytes) -> str:
    """Why the service refuses, in its own words; the beginning of what is no error of Forgetless, with its status."""
    try:
        body = parse_line(content)
    except InvalidRequestError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("detail"), str) and body["detail"]:
        return printable(body["detail"])
    words = printable(" ".join(content[:_QUOTED].decode("utf-8", "replace").split()))
    return f"the service answered with status {status}: {words or 'nothing'}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_place(value: Any) -> bool:
    return _is_count(value) and value > 0


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_counts_by_id(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(pairs, dict) for pairs in value.values()):
        return False
    return all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_count, pair))
        for pairs in value.values()
        for pair in pairs.values()
    )


_IMPORT_PLACE: Mapping[str, Callable[[Any], bool]] = {
    "line": _is_place,
    "digest": _is_text,
    **dict.fromkeys(("memories", "events", "jobs", "refused", "left_out"), _is_count),
    "ended": _is_flag,
    "problems": _are_texts,
}
_IMPORT_COUNTS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("memories", "found"), _is_count),
    "by_id": _are_counts_by_id,
    "lines": _is_place,
}
_EXPORT_PLACE: Mapping[str, Callable[[Any], bool]] = {
    "cursor": lambda value: value is None or _is_text(value),
    **dict.fromkeys(("bytes", "events"), _is_count),
    "ended": _is_flag,
}
