"""A file that says what the index was made from. It is beside the index's data, so both are lost together."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.settings import Settings
from forgetless.service.stores.ledger_identity import IndexNote

__all__ = ["place_of", "read_note", "write_note"]


def place_of(settings: Settings, given: Path | None) -> Path:
    """The path of the note: as given, or beside the ledger."""
    return given or Path(settings.ledger_path or ".").with_name("index-collection")


def read_note(file: Path) -> IndexNote | None:
    """The note, or None when there is none. A note of an older version has only the collection's name."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{file} cannot be read ({error}); delete it, and the index is rebuilt") from None
    if not text.startswith("{"):
        return IndexNote(text)
    try:
        held = json.loads(text)
        return IndexNote(held["collection"], held["ledger"], tuple(held["stamps"]), tuple(held.get("beside", ())))
    except (ValueError, KeyError, TypeError):
        return IndexNote("")  # of no collection, so the index is rebuilt


def write_note(file: Path, note: IndexNote) -> None:
    """Replace the note, completely or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)  # where others may write, it could be a link or a pipe
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(json.dumps(asdict(note)) + "\n")
    staged.replace(file)
