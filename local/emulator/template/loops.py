"""Fn::ForEach of the transform AWS::LanguageExtensions: the resources that each loop of a template stands for."""

from __future__ import annotations

import re
from typing import Any

from local.emulator.specs import NotHereError, TemplateError

__all__ = ["LOOP", "unrolled"]

#: How the name of a loop begins, in place of a resource's.
LOOP = "Fn::ForEach::"


def unrolled(resources: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the resources with every loop replaced by what it makes, loops in loops too, and why any was left out.

    Raises:
        TemplateError: a loop makes a name twice.
    """
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, resource in resources.items():
        if str(name).startswith("Fn::") and not str(name).startswith(LOOP):
            left_out[name] = "it is not carried out here: what it would add is left out"
            continue
        try:
            made = _made_by(resource) if str(name).startswith(LOOP) else [(name, resource)]
        except NotHereError as error:
            left_out[name] = str(error)
            continue
        for key, one in made:
            if key in found:
                raise TemplateError(f"{name}: there are two resources {key}")
            found[key] = one
    return found, left_out


def _made_by(loop: Any) -> list[tuple[str, Any]]:
    if not (isinstance(loop, list) and len(loop) == 3 and isinstance(loop[0], str) and isinstance(loop[2], dict)):
        raise NotHereError("left out: a loop is a list of an identifier, a list and a mapping of resources")
    identifier, values, body = loop
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise NotHereError("left out: only loops through a list of texts are carried out here")
    pairs: list[tuple[str, Any]] = []
    for value in values:
        made, left_out = unrolled(_filled_in(body, identifier, value))
        if left_out:
            inner, reason = next(iter(left_out.items()))
            raise NotHereError(f"{inner} in it is {reason}")
        pairs += made.items()
    return pairs


def _filled_in(part: Any, identifier: str, value: str) -> Any:
    """Return the part with the value of this round in place of the identifier."""
    if isinstance(part, str):
        # &{Name} leaves out what is not a letter or a digit.
        part = part.replace(f"${{{identifier}}}", value)
        return part.replace(f"&{{{identifier}}}", re.sub(r"[^A-Za-z0-9]", "", value))
    if isinstance(part, list):
        return [_filled_in(one, identifier, value) for one in part]
    if not isinstance(part, dict):
        return part
    if part == {"Ref": identifier}:
        return value
    filled = {_filled_in(key, identifier, value): _filled_in(one, identifier, value) for key, one in part.items()}
    return _plain(filled)


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Return `Ref` and `Fn::GetAtt` with the name itself, where a `Fn::Sub` has nothing left to replace."""
    for function in ("Ref", "Fn::GetAtt"):
        if list(part) == [function]:
            named = part[function]
            return {function: [_word(one) for one in named] if isinstance(named, list) else _word(named)}
    return part


def _word(part: Any) -> Any:
    text = part.get("Fn::Sub") if isinstance(part, dict) else None
    return text if isinstance(text, str) and "${" not in text else part
