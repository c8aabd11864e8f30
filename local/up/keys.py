"""The API key of this machine: made once and readable by its owner only, or given in the environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from local.up.errors import UpError

__all__ = [
    "EMBEDDER_KEY",
    "FUNCTIONS_FILE",
    "GIVEN_KEY",
    "QUEUE_TOKEN",
    "api_key",
    "forget_given",
    "known_key",
    "part_key",
    "write_private",
]

GIVEN_KEY = "FORGETLESS_API_KEY"
#: The functions' variables in the form of `sam local --env-vars`; they may include an LLM's key.
FUNCTIONS_FILE = "functions.env.json"
_GIVEN_FILE = "api_key.given"
#: The variables with which two parts are told what their clients must present.
EMBEDDER_KEY = "EMBEDDER_API_KEY"
QUEUE_TOKEN = "EMULATOR_QUEUE_TOKEN"  # noqa: S105 - the variable's name


def api_key(state: Path, environment: Mapping[str, str]) -> tuple[str, Path]:
    """Return the key and the file to register it from.

    A key from the environment goes into a separate file, which ``forget_given`` removes, so that it does not
    stay on the disk.
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


def known_key(state: Path, environment: Mapping[str, str]) -> str:
    """Return the administrator's key, from the environment or the state folder; empty when there is none yet."""
    file = state / "api_key"
    return environment.get(GIVEN_KEY, "").strip() or (file.read_text(encoding="utf-8").strip() if file.exists() else "")


def part_key(state: Path, environment: Mapping[str, str], variable: str) -> str:
    """Return the key of a part: the caller's, or one that is made once and stays in the state folder.

    Without a state folder there is no part to speak to, and so no key.
    """
    if given := environment.get(variable, "").strip():
        return given
    file = state / variable.lower()
    if not state.is_dir():
        return ""
    if not file.exists() or not file.read_text(encoding="utf-8").strip():
        write_private(file, secrets.token_urlsafe(32) + "\n")
    return file.read_text(encoding="utf-8").strip()


def forget_given(state: Path) -> None:
    """Remove the files that hold secrets of the caller's environment; they exist only as long as they are needed."""
    for name in (FUNCTIONS_FILE, _GIVEN_FILE):
        (state / name).unlink(missing_ok=True)


def write_private(file: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(staged, file)
