"""What a policy that an authorizer returned says about a request: IAM's rules for one action and one resource."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

#: The action that every request to an API is.
ACTION = "execute-api:Invoke"


class PolicyError(Exception):
    """The policy has no valid form."""


def effect_of(document: Any, arn: str) -> str | None:
    """Return Deny, Allow, or None when no statement covers the request; a denial wins.

    Raises:
        PolicyError: no policy document.
    """
    if not isinstance(document, dict):
        raise PolicyError("the policy is no mapping")
    statements = document.get("Statement")
    listed = statements if isinstance(statements, list) else [statements]
    effects = {_effect(statement) for statement in map(_statement, listed) if _covers(statement, arn)}
    return "Deny" if "Deny" in effects else "Allow" if effects else None


def _statement(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError("a statement is a mapping")
    return value


def _effect(statement: dict[str, Any]) -> str:
    effect = statement.get("Effect")
    if not isinstance(effect, str) or effect not in {"Allow", "Deny"}:
        raise PolicyError("Effect is Allow or Deny")
    return effect


def _covers(statement: dict[str, Any], arn: str) -> bool:
    _effect(statement)
    if not (_listed(statement, "Action", ACTION, case=False) and _listed(statement, "Resource", arn, case=True)):
        return False
    # Conditions are not evaluated: what grants only under one grants nothing, what denies under one denies.
    return not statement.get("Condition") or _effect(statement) == "Deny"


def _listed(statement: dict[str, Any], key: str, text: str, *, case: bool) -> bool:
    """Return whether a text is among those that Action (Resource) names, or not among those of NotAction."""
    if f"Not{key}" in statement:
        return not _any(_texts(statement[f"Not{key}"]), text, case=case)
    return _any(_texts(statement.get(key)), text, case=case)


def _texts(value: Any) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError("actions and resources are texts")
    return texts


def _any(patterns: Iterable[str], text: str, *, case: bool) -> bool:
    return any(_pattern(pattern, case=case).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _pattern(text: str, *, case: bool) -> re.Pattern[str]:
    """Return what a text with `*` (any characters) and `?` (any one) matches."""
    parts = ("".join(".*?" if c == "*" else "." if c == "?" else re.escape(c)) for c in text)
    return re.compile("".join(parts), re.DOTALL | (0 if case else re.IGNORECASE))
