"""The sizes of a run, and the memories of each: one short fact in each line of an import file, no two of them alike."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.client import ToolError

__all__ = ["SIZES", "Size", "parse_size", "questions", "write_import_file"]

_PEOPLE = ("Anna", "Bilal", "Chloé", "Diego", "Emre", "Freya", "Gustav", "Hoa", "Ines", "Jun", "Katja", "Linh")
_PLACES = ("Lisbon", "Đà Nẵng", "Graz", "Osaka", "Lyon", "Tallinn", "Quito", "Huế", "Leeds", "Porto", "Basel", "Hanoi")
_THINGS = ("a red bicycle", "a jazz record", "hiking boots", "the night train", "cà phê muối", "un vélo", "Roggenbrot")
_FACTS = (
    "{who} likes {thing}, number {code}",
    "{who} bought {thing} {code} in {place}",
    "{who} moved to {place}, house {code}",
    "{who} met {other} in {place} on day {code}",
    "{who} wants {thing} {code} before the trip to {place}",
)
_QUESTIONS = ("What does {who} like?", "Who went to {place}?", "Where did {who} buy {thing}?")
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
#: Memories are a minute apart.
_APART = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Size:
    """So many memories, in equal parts for so many users."""

    memories: int
    users: int = 1

    def __str__(self) -> str:
        whose = "one user" if self.users == 1 else f"{self.users:,} users"
        return f"{self.memories:,} of {whose}"

    def user(self, number: int = 0) -> str:
        """Return the name of a user."""
        return f"scale-{number}"


#: The smallest first. When the time is over, the rest is left out.
SIZES = (Size(1_000), Size(20_000), Size(100_000), Size(100_000, 10_000))


def parse_size(text: str) -> Size:
    """Return the size that `memories` or `memories/users` names; raises ToolError."""
    memories, _, users = text.partition("/")
    try:
        size = Size(int(memories.replace("_", "")), int((users or "1").replace("_", "")))
    except ValueError:
        raise ToolError(f"--sizes: {text!r} is not a number of memories, or memories/users") from None
    if not 0 < size.users <= size.memories:
        raise ToolError(f"--sizes: {text!r} needs at least one user, and a memory for each")
    return size


def write_import_file(file: Path, size: Size, *, seed: int = 7) -> None:
    """Write the memories as `forgetless import` reads them: mem0's own form, so that each is stored verbatim."""
    with file.open("w", encoding="utf-8") as lines:
        for record in _records(size, seed):
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def questions(count: int, *, seed: int = 11) -> list[str]:
    """Return questions about the facts."""
    chance = random.Random(seed)
    return [_filled(chance, chance.choice(_QUESTIONS), 0) for _ in range(count)]


def _records(size: Size, seed: int) -> Iterator[dict[str, str]]:
    chance = random.Random(seed)
    for number in range(size.memories):
        yield {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{size} {number}")),
            "memory": _filled(chance, chance.choice(_FACTS), number),
            "user_id": size.user(number % size.users),
            "created_at": (_FIRST + number * _APART).isoformat(),
        }


def _filled(chance: random.Random, pattern: str, number: int) -> str:
    who, other = chance.sample(_PEOPLE, 2)
    return pattern.format(who=who, other=other, thing=chance.choice(_THINGS), place=chance.choice(_PLACES), code=number)
