"""The API key of this machine: made once and kept for its owner alone, or given by the environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from local.up.errors import UpError

__all__ = ["FUNCTIONS_FILE", "GIVEN_KEY", "api_key", "forget_given", "write_private"]

GIVEN_KEY = "FORGETLESS_API_KEY"
#: What the functions are told, in the form of `sam local --env-vars`; an LLM's key may stand in it.
FUNCTIONS_FILE = "functions.env.json"
_GIVEN_FILE = "api_key.given"


def api_key(state: Path, environment: Mapping[str, str]) -> tuple[str, Path]:
    """The key and the file to register it from.

    A key from the environment goes into a file of its own, which ``forget_given`` removes: what the user
    keeps outside of this machine's disk stays outside.
    """
    given = environment.get(GIVEN_KEY, "").strip()
    if given:
        file = state / _GIVEN_FILE
        write_private(file, given + "\n")
        return given, file
    file = state / "api_key"
    if file.exists():
        file.chmod(0o600)
        key = file.read_text(encoding="utf-8").strip()
        if not key:
            raise UpError(f"{file} is empty; delete it to have a new key made")
        return key, file
    key = f"fgl_{secrets.token_urlsafe(32)}"
    write_private(file, key + "\n")
    return key, file


def forget_given(state: Path) -> None:
    """Remove what holds secrets of the caller's environment: it lies there only as long as it is needed."""
    for name in (FUNCTIONS_FILE, _GIVEN_FILE):
        (state / name).unlink(missing_ok=True)


def write_private(file: Path, text: str) -> None:
    """Write a file that no other user can read, complete or not at all."""
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(staged, file)
