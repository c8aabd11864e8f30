"""Lets botocore find and parse each of its description files once in a process, not again for every client."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

__all__ = ["parse_descriptions_once"]

_load_file = JSONFileLoader.load_file


@functools.cache
def _parsed(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


def _load(loader: JSONFileLoader, file_path: str) -> Any:
    # moto takes the error codes out of SQS's description, which clients need.
    return _load_file(loader, file_path) if "/sqs/" in file_path else _parsed(file_path)


def _once(listing: Callable[..., list[str]]) -> Callable[..., list[str]]:
    found: dict[Any, list[str]] = {}

    def listed(loader: Loader, *names: str, **more: str) -> list[str]:
        key = (tuple(loader.search_paths), names, tuple(more.items()))
        if key not in found:
            found[key] = listing(loader, *names, **more)
        return list(found[key])

    return listed


def parse_descriptions_once() -> None:
    """Tests make thousands of clients, each in a session of its own; those of one session share the files anyway."""
    JSONFileLoader.load_file = _load
    Loader.list_available_services = _once(Loader.list_available_services)
    Loader.list_api_versions = _once(Loader.list_api_versions)
