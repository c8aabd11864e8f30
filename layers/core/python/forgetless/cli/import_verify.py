"""Verifying an import: sends the lines of a file again, to be counted, and says which ids have fewer memories now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from forgetless.cli.import_file import SourceFile
from forgetless.cli.progress import Tell
from forgetless.domain.export_lines import is_header, parse_line
from forgetless.domain.scope import SCOPE_IDS
from forgetless.service.transfer.import_check import ImportCounts

__all__ = ["CheckTarget", "comparison", "verified_counts"]

#: How many bytes are counted at once. Nothing is stored, so the answer is quick.
_PORTION_BYTES = 1024 * 1024
#: The most ids that are counted one by one; of a file with more, only the total is compared.
MOST_IDS = 10_000
#: The most ids that are shown.
_SHOWN = 20


class CheckTarget(Protocol):
    """Where memories are looked for. See `ImportCheck`."""

    def check(self, body: bytes, *, ours: bool) -> ImportCounts:
        """Which memories of these lines are there."""


def verified_counts(target: CheckTarget, source: SourceFile, *, tell: Tell) -> ImportCounts:
    """The counts of the whole file; without those of single ids if it has too many."""
    total, ids, done, ours = ImportCounts(), True, 0, False
    lines = source.count()
    for portion in _portions(source.lines()):
        if not ours and _begins_export(portion):
            ours = True
            continue
        while portion:
            counts = target.check(b"".join(line + b"\n" for line in portion), ours=ours)
            if not ids:
                counts.by_id = {}
            total.include(counts)
            if ids and sum(map(len, total.by_id.values())) > MOST_IDS:
                ids, total.by_id = False, {}
            read = len(portion) if counts.lines is None else counts.lines
            portion, done = portion[read:], done + read  # noqa: PLW2901 - what is left of it
            tell(done, lines)
    return total


def comparison(counts: ImportCounts) -> Iterator[str]:
    """What to say: the total, and then the ids, first those of which something is missing."""
    missing = counts.memories - counts.found
    if missing:
        yield f"differs: the file has {counts.memories} memories; not there: {missing}"
    else:
        yield f"verified: all {counts.memories} memories of the file are there"
    pairs = [
        (name.removesuffix("_id"), value, memories, found)
        for name in SCOPE_IDS
        for value, (memories, found) in counts.by_id.get(name, {}).items()
    ]
    pairs.sort(key=lambda pair: (pair[2] == pair[3], SCOPE_IDS.index(f"{pair[0]}_id"), pair[1]))
    for what, value, memories, found in pairs[:_SHOWN]:
        mark = "  " if memories == found else "! "
        yield f"{mark}{what} {value}: {memories} in the file, {found} of them there"
    if len(pairs) > _SHOWN:
        rest = sum(memories != found for _, _, memories, found in pairs[_SHOWN:])
        yield f"  and {len(pairs) - _SHOWN} more ids, {rest} of them with something missing"


def _portions(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The lines in lists of at most about this size, or of one line. The first line of an export is one by itself."""
    portion: list[bytes] = []
    size = 0
    for line in lines:
        if portion and (size + len(line) > _PORTION_BYTES or _begins_export(portion)):
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line) + 1
    if portion:
        yield portion


def _begins_export(portion: list[bytes]) -> bool:
    if len(portion) != 1 or b'"format"' not in portion[0]:
        return False
    record = parse_line(portion[0])
    return isinstance(record, dict) and is_header(record)
