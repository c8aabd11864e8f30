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

__all__ = [
    "FORMAT",
    "MANIFEST",
    "MODEL",
    "TOKENIZER",
    "Manifest",
    "file_sha256",
    "load_manifest",
    "verify_folder",
    "write_manifest",
]

MANIFEST = "manifest.json"
#: The manifest's own digest, as `sha256sum` writes it. Folders that were prepared before it came have none.
MANIFEST_DIGEST = "manifest.sha256"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

#: Increased when the folder's layout or the graph changes. Older folders are served as before; ``prepare`` makes them
#: anew. Format 2 has graphs in ONNX Runtime's fused operators.
FORMAT = 2
SERVED = (1, FORMAT)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a model folder.

    ``prefixes`` maps a task to the text put before each input; ``smallest_dimensions`` is set where the
    model was trained for truncated vectors (Matryoshka); ``graphs`` names the file of each
    task's graph where one graph does not serve all; ``agreement`` is the cosine of the quantised
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
    graphs: Mapping[str, str] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder``'s manifest. Raises ModelFolderError naming the file when it cannot be used or was altered."""
    path, noted = folder / MANIFEST, folder / MANIFEST_DIGEST
    try:
        content = path.read_bytes()
        values: dict[str, Any] = json.loads(content)
    except FileNotFoundError:
        raise ModelFolderError(f"{path} is missing: prepare the model first (python -m embedder prepare)") from None
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read ({error}): remove the folder, prepare again") from None
    if not isinstance(values, dict) or values.get("format") not in SERVED:
        raise ModelFolderError(
            f"{path} is of another format than {' or '.join(map(str, SERVED))}: remove the folder, prepare again"
        )
    try:
        manifest = Manifest(**values)
    except TypeError as error:
        raise ModelFolderError(f"{path} is incomplete ({error}): remove the folder, prepare again") from None
    if noted.is_file() and noted.read_text(encoding="ascii", errors="replace") != _digest_line(content):
        raise _altered(path)
    return dataclasses.replace(manifest, tasks=tuple(manifest.tasks))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and its digest: pooling, prefixes and lengths in it decide about vectors too."""
    content = manifest.to_json().encode("utf-8")
    (folder / MANIFEST).write_bytes(content)
    (folder / MANIFEST_DIGEST).write_text(_digest_line(content), encoding="ascii")


def verify_folder(folder: Path) -> Manifest:
    """Return the manifest once it and every file it lists have their SHA-256; else ModelFolderError names the file."""
    manifest = load_manifest(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelFolderError(f"{path} is missing: remove the folder, prepare again")
        if file_sha256(path) != expected:
            raise _altered(path)
    return manifest


def _digest_line(content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()}  {MANIFEST}\n"


def _altered(path: Path) -> ModelFolderError:
    return ModelFolderError(f"{path} is cut off or altered (checksum differs): remove the folder, prepare again")
