"""Reads mem0's table in Postgres (pgvector: id, vector, payload) from a dump, the text of COPY, or CSV."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from forgetless.cli.formats.notes import Notes
from forgetless.cli.formats.streams import LONGEST, lines_of
from forgetless.domain.errors import InvalidRequestError

__all__ = ["Row", "copy_rows", "csv_rows", "dump_rows", "is_copy", "is_csv", "is_dump"]

#: A line of an import: a point with its payload.
Row = dict[str, object]

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_COPY_ROW = re.compile(rf"{_UUID}\t")
_CSV_ROW = re.compile(rf'"?{_UUID}"?,')
_BEGIN = re.compile(r"COPY (?:\S+\.)?(\S+) \((.+)\) FROM stdin;\s*$")
_INSERT = re.compile(r"INSERT INTO ")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
#: Tables with the same columns that hold no memories.
_OTHERS = re.compile(r"mem0migrations|.*_entities")


def is_dump(head: str) -> bool:
    """Whether this is the beginning of what pg_dump writes as text."""
    return head.lstrip("\n").startswith(("--\n-- PostgreSQL database dump", "COPY ", "SET statement_timeout"))


def is_copy(first: str) -> bool:
    """Whether this is the first line of the text of COPY."""
    return bool(_COPY_ROW.match(first)) or {"id", "payload"} <= set(first.rstrip("\r\n").split("\t"))


def is_csv(first: str) -> bool:
    """Whether this is the first line of CSV: a row, or the names of the columns."""
    return bool(_CSV_ROW.match(first)) or {"id", "payload"} <= set(_names(first))


def dump_rows(stream: TextIO, notes: Notes) -> Iterator[Row]:
    """The rows of mem0's tables in a dump; raises InvalidRequestError if it has none."""
    found, inserts = False, False
    for line in lines_of(stream):
        inserts = inserts or bool(_INSERT.match(line))
        begin = _BEGIN.match(line)
        if begin is None:
            continue
        columns = _names(begin[2])
        wanted = {"id", "payload"} <= set(columns)
        table = begin[1].strip('"')
        if wanted and _OTHERS.fullmatch(table):
            notes.warn(f"left out: the table {table}, which holds no memories")
            wanted = False
        found = found or wanted
        for row in _until_end(stream):
            if wanted:
                yield _row(dict(zip(columns, _fields(row), strict=False)))
    if not found:
        how = "write it without --inserts" if inserts else "dump the table of mem0's collection with its data"
        raise InvalidRequestError(f"this dump has no COPY with the columns id and payload: {how}")


def copy_rows(stream: TextIO) -> Iterator[Row]:
    """The rows of the text of COPY, with or without the names of the columns."""
    columns: Sequence[str] = ()
    for line in lines_of(stream):
        text = line.rstrip("\r\n")
        if text == "\\.":
            return
        fields = _fields(text)
        if not columns:
            columns = _columns(fields)
            if "id" in fields:
                continue
        yield _row(dict(zip(columns, fields, strict=False)))


def csv_rows(stream: TextIO) -> Iterator[Row]:
    """The rows of CSV, with or without the names of the columns."""
    before = csv.field_size_limit(LONGEST)
    try:
        columns: Sequence[str] = ()
        for fields in csv.reader(lines_of(stream)):
            if not fields:
                continue
            if not columns:
                columns = _columns(fields)
                if "id" in fields:
                    continue
            yield _row(dict(zip(columns, fields, strict=False)))
    except csv.Error as error:
        raise InvalidRequestError(f"not CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _until_end(stream: TextIO) -> Iterator[str]:
    for line in lines_of(stream):
        if line.startswith("\\."):
            return
        yield line.rstrip("\n")


def _columns(first: Sequence[str | None]) -> list[str]:
    """The names of the columns: the first row, or what its fields look like."""
    if "id" in first and "payload" in first:
        return [str(name) for name in first]
    payloads = [place for place, value in enumerate(first) if (value or "").startswith("{")]
    if not payloads:
        raise InvalidRequestError("line 1: expected the columns id and payload, or their names in the first line")
    return ["id" if place == 0 else "payload" if place == payloads[-1] else f"{place}" for place in range(len(first))]


def _row(fields: dict[str, str | None]) -> Row:
    """A point. A payload that is not JSON stays a text, and the import refuses the line."""
    payload = fields.get("payload")
    try:
        return {"id": fields.get("id"), "payload": json.loads(payload or "null")}
    except (ValueError, RecursionError):
        return {"id": fields.get("id"), "payload": payload}


def _names(columns: str) -> list[str]:
    return [one.strip().strip('"') for one in columns.split(",")]


def _fields(line: str) -> list[str | None]:
    """The fields of a row of COPY's text; None is NULL."""
    return [None if one == "\\N" else _ESCAPE.sub(_unescaped, one) for one in line.split("\t")]


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)
