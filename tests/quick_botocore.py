"""Lets botocore parse each of its description files once in a process, not again for every client."""

from __future__ import annotations

import functools
from typing import Any

from botocore.loaders import JSONFileLoader

__all__ = ["parse_descriptions_once"]

_load_file = JSONFileLoader.load_file


@functools.cache
def _parsed(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


def parse_descriptions_once() -> None:
    """Tests make thousands of clients, each in a session of its own; those of one session share the files anyway."""
    JSONFileLoader.load_file = lambda _self, file_path: _parsed(file_path)
