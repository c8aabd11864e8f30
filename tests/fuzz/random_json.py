"""Random JSON for fuzzing: odd values, and values that differ from a valid one in a place or two."""

from __future__ import annotations

import random
from typing import Any

__all__ = ["mutated", "odd"]

_TEXTS = (
    "", " ", "a", "*", "alice", "ALICE", "null", "true", "0", "-1", "1e999", "NaN", "\x00", "\x1b[2J", "a\nb", "\ud800",
    "\u200b", "\u202e", "\ufeff", "e\u0301", "\ufdfa" * 20, "'", '"', "\\", "`", "%", "%00", "../..", "{}", "[]", "<a>",
    "2026-01-01", "2026-13-45", "0001-01-01", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00+99:99", "x" * 300,
    "x" * 5000, "00000000-0000-0000-0000-000000000000", "unix:/tmp/x", "http://127.0.0.1/", "$or", "AND", "__proto__",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 0.5, -0.0, 1e308, 1e-320, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30)
_KEYS = (
    "user_id", "agent_id", "app_id", "run_id", "filters", "metadata", "query", "messages", "AND", "OR", "NOT", "in",
    "gte", "top_k", "page", "limit", "cursor", "id", "text", "", "a.b", "$ne", "\x00", "x" * 300,
)  # fmt: skip


def odd(rng: random.Random, depth: int = 0) -> Any:
    """A random value, most often a scalar."""
    kind = rng.random()
    if kind < 0.45 or depth > 3:
        return rng.choice(_TEXTS)
    if kind < 0.65:
        return rng.choice(_NUMBERS)
    if kind < 0.78:
        return rng.choice((None, True, False))
    if kind < 0.89:
        return [odd(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_KEYS): odd(rng, depth + 1) for _ in range(rng.randrange(4))}


def mutated(rng: random.Random, value: Any, changes: int | None = None) -> Any:
    """The value with one to three random changes; the value itself stays as it is."""
    for _ in range(rng.randint(1, 3) if changes is None else changes):
        value = _changed(rng, value)
    return value


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        return _changed_object(rng, value)
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        match rng.randrange(3):
            case 0:
                return [*value[:place], *value[place + 1 :]]
            case 1:
                return [*value, *value]
            case _:
                return [*value[:place], _changed(rng, value[place]), *value[place + 1 :]]
    return odd(rng)


def _changed_object(rng: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    key = rng.choice(sorted(value))
    match rng.randrange(6):
        case 0:
            return {name: one for name, one in value.items() if name != key}
        case 1:
            return {**value, rng.choice(_KEYS): odd(rng)}
        case 2:
            return {**value, rng.choice(sorted(value)): value[key]}
        case _:
            return {**value, key: _changed(rng, value[key])}
