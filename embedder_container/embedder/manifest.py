"""The manifest of a prepared model folder: what it holds, where it came from, and the check of its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ModelFolderError

__all__ = ["MANIFEST", "MODEL", "TOKENIZER", "Manifest", "file_sha256", "load_manifest", "verify_folder"]

MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

#: Increased when the folder's layout or the graph changes, so that older folders are prepared again.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a model folder.

    ``prefixes`` maps a task to the text put before each input; ``smallest_dimensions`` is set where the
    model was trained for truncated vectors (Matryoshka); ``agreement`` is the cosine of the quantised
    against the original vectors.
    """

    name: str
    source: str
    revision: str
    licence: str
    dimensions: int
    max_length: int
    pooling: str
    quantization: str
    created: str
    files: Mapping[str, str]
    commercial_use: bool = True
    tasks: tuple[str, ...] = ()
    prefixes: Mapping[str, str] = field(default_factory=dict)
    default_task: str | None = None
    smallest_dimensions: int | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder``'s manifest. Raises ModelFolderError naming the file when it cannot be used."""
    path = folder / MANIFEST
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelFolderError(f"{path} is missing: prepare the model first (python -m embedder prepare)") from None
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read ({error}): remove the folder, prepare again") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ModelFolderError(f"{path} is of another format than {FORMAT}: remove the folder, prepare again")
    try:
        manifest = Manifest(**values)
    except TypeError as error:
        raise ModelFolderError(f"{path} is incomplete ({error}): remove the folder, prepare again") from None
    return dataclasses.replace(manifest, tasks=tuple(manifest.tasks))


def verify_folder(folder: Path) -> Manifest:
    """Return the manifest once every file it lists has its SHA-256; else ModelFolderError names the file."""
    manifest = load_manifest(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelFolderError(f"{path} is missing: remove the folder, prepare again")
        if file_sha256(path) != expected:
            raise ModelFolderError(f"{path} is cut off or altered (checksum differs): remove the folder, prepare again")
    return manifest
