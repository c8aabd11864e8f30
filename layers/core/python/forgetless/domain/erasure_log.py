"""The log of erasures: what was erased, in keyed digests and numbers, kept outside everything that a backup holds.

A ledger has an incarnation, a random name that a restore renews. A line of the log names the incarnation whose erasure
it records, and a restore adds a line that says from which incarnation the new one comes. So, for a copy of a ledger,
the log tells what was erased after the copy was made, whatever was restored in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.digests import keyed_digest
from forgetless.domain.erasures import Erasure, ErasureMarker, MarkedTarget, Markers, marked

__all__ = [
    "FORMAT",
    "LogLine",
    "LoggedErasure",
    "LoggedRestore",
    "Moment",
    "are_related",
    "dump_header",
    "dump_line",
    "erased_since",
    "load_header",
    "load_line",
    "logged",
    "markers_of",
    "tenant_digest",
]

FORMAT = "forgetless-erasures"
_VERSION = 1
#: Only in the line of a tenant's deletion; an earlier version reads the line as an erasure of all its memories.
_CLOSES = "tenant_deleted"


@dataclass(frozen=True, slots=True)
class LoggedErasure:
    """One erasure; `tenant` is a keyed digest, and empty in a file that is about one tenant."""

    incarnation: str
    tenant: str
    number: int
    #: The random id of the erasure.
    id: str
    targets: tuple[MarkedTarget, ...]
    #: Whether the whole tenant was deleted, with its keys and settings.
    closes: bool = False


@dataclass(frozen=True, slots=True)
class LoggedRestore:
    """A ledger was restored: `incarnation` is its new name, and `source` the one that its copy had."""

    incarnation: str
    source: str


LogLine = LoggedErasure | LoggedRestore


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a tenant in a ledger: the ledger's incarnation, and the number of the tenant's last erasure."""

    incarnation: str
    last: int


def tenant_digest(key: bytes, tenant: str) -> str:
    """The digest that stands for the tenant."""
    return keyed_digest(key, "tenant", tenant)


def logged(key: bytes, incarnation: str, erasure: Erasure) -> LoggedErasure:
    """The line of an erasure of the ledger with this incarnation."""
    tenant = tenant_digest(key, erasure.tenant)
    id_ = erasure.id or tenant_digest(key, erasure.identity)
    return LoggedErasure(incarnation, tenant, erasure.number, id_, marked(key, erasure.targets), erasure.closes)


def erased_since(lines: Iterable[LogLine], moment: Moment | None) -> list[LoggedErasure]:
    """What was erased after the moment: later in the same incarnation, or in one that was restored from a copy of it.

    `lines` are those of one tenant, and all restores. Without a moment, everything in the log counts.
    """
    kept = list(lines)
    found = {line.id: line for line in kept if isinstance(line, LoggedErasure)}
    if moment is None:
        return list(found.values())
    sources = {line.incarnation: line.source for line in kept if isinstance(line, LoggedRestore)}
    return [
        line
        for line in found.values()
        if (line.incarnation == moment.incarnation and line.number > moment.last)
        or moment.incarnation in _ancestors(sources, line.incarnation)
    ]


def markers_of(key: bytes, erased: Iterable[LoggedErasure]) -> Markers:
    """Markers that cover whatever was accepted before the erasures: all that has the number 0."""
    return Markers(key, [ErasureMarker(1, line.targets) for line in erased])


def dump_header(key: bytes, *, tenant: bool = False) -> str:
    """The first line of a file. With `tenant`, the file is about one tenant, and its lines do not name it."""
    scope = {"of": "one tenant"} if tenant else {}
    return _dump({"format": FORMAT, "version": _VERSION, **scope, "key": base64.b64encode(key).decode()})


def load_header(text: str) -> tuple[bytes, bool]:
    """The key of a file, and whether the file is about one tenant; raises ValueError for any other line."""
    record = json.loads(text)
    if not isinstance(record, Mapping) or record.get("format") != FORMAT or record.get("version") != _VERSION:
        raise ValueError(f"it does not begin with a line of the format {FORMAT}, version {_VERSION}")
    try:
        return base64.b64decode(record["key"], validate=True), "of" in record
    except (KeyError, TypeError, binascii.Error):
        raise ValueError("its first line has no key") from None


def dump_line(line: LogLine) -> str:
    """A line of a file, without its end."""
    if isinstance(line, LoggedRestore):
        return _dump({"incarnation": line.incarnation, "restored_from": line.source})
    targets = [[dict(target.digests), list(target.names)] for target in line.targets]
    who = {"tenant": line.tenant} if line.tenant else {}
    what = {"targets": targets, **({_CLOSES: True} if line.closes else {})}
    return _dump({"incarnation": line.incarnation, **who, "number": line.number, "id": line.id, **what})


def load_line(text: str) -> LogLine:
    """The line of `dump_line`; raises ValueError for any other."""
    record: Any = json.loads(text)
    try:
        if "restored_from" in record:
            return LoggedRestore(str(record["incarnation"]), str(record["restored_from"]))
        targets = tuple(MarkedTarget(dict(digests), tuple(names)) for digests, names in record["targets"])
        line = LoggedErasure(record["incarnation"], "", int(record["number"]), str(record["id"]), targets)
        return replace(line, tenant=record.get("tenant", ""), closes=_CLOSES in record)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a line of a log of erasures: {error!r}") from None


def are_related(lines: Iterable[LogLine], one: str, other: str) -> bool:
    """Whether two incarnations come from one by restores. The empty name, of any old ledger, says nothing."""
    sources = {line.incarnation: line.source for line in lines if isinstance(line, LoggedRestore)}
    known = ({name, *_ancestors(sources, name)} - {""} for name in (one, other))
    return not set.isdisjoint(*known)


def _ancestors(sources: Mapping[str, str], incarnation: str) -> set[str]:
    """The incarnations from whose copies this one was restored, one after the other."""
    found: set[str] = set()
    while incarnation in sources and sources[incarnation] not in found:
        incarnation = sources[incarnation]
        found.add(incarnation)
    return found


def _dump(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"), sort_keys=False)
