"""Reads a template with every part of it replaced by something of another form."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local.emulator.specs import Place, TemplateError
from local.emulator.template.document import read_document
from local.emulator.template.reader import read_template

__all__ = ["read_with_odd_parts"]

_ODD = ["", 7, [1], {"a": "b"}, None]


def read_with_odd_parts(path: Path) -> int:
    """Read all forms of the template and return their number; whatever is raised is an error of the template."""
    content, read = read_document(path).content, 0
    for place in _nodes(content):
        for odd in _ODD if place else ():
            changed = copy.deepcopy(content)
            target = functools.reduce(lambda value, key: value[key], place[:-1], changed)
            target[place[-1]] = odd
            path.write_text(json.dumps(changed))
            with contextlib.suppress(TemplateError):
                read_template(path, Place())
            read += 1
    return read


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _nodes(item, (*path, key))
