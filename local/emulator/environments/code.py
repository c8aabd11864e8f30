"""The code of a function as folders: what the template itself holds is written, and archives are unpacked."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

from local.emulator.specs import FunctionSpec

#: The module that Lambda makes of code in a template.
_INLINE_MODULE = "index.py"


def with_folders(spec: FunctionSpec, below: Path) -> FunctionSpec:
    """Return the function with folders alone as its code and layers; what has none yet is put below a folder."""
    folder = below / spec.name
    code = spec.code if spec.inline is None else _written(spec.inline, folder / "inline")
    layers = tuple(_unpacked(layer, folder / f"layer{number}") for number, layer in enumerate(spec.layers))
    return replace(spec, code=_unpacked(code, folder / "code"), layers=layers, inline=None)


def _written(text: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INLINE_MODULE).write_text(text, encoding="utf-8")
    return folder


def _unpacked(source: Path, folder: Path) -> Path:
    if source.is_dir():
        return source
    shutil.rmtree(folder, ignore_errors=True)  # so that what an earlier archive held does not stay
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
    return folder
