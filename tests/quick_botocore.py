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


def _load(loader: JSONFileLoader, file_path: str) -> Any:
    # moto takes the error codes out of SQS's description, which clients need.
    return _load_file(loader, file_path) if "/sqs/" in file_path else _parsed(file_path)


def parse_descriptions_once() -> None:
    """Tests make thousands of clients, each in a session of its own; those of one session share the files anyway."""
    JSONFileLoader.load_file = _load
