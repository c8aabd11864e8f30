"""Makes a model folder for ``serve`` from published weights: fetches, builds, compares and describes it."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .build import build
from .errors import ModelFolderError, PrepareError
from .manifest import Manifest, file_sha256, verify_folder, write_manifest
from .recipe import Recipe
from .sources import fetch, find_recipe

__all__ = ["build_folder", "prepare"]

Say = Callable[[str], None]


def prepare(name: str, out: Path, *, quantization: str = "int8", say: Say = print) -> Manifest:
    """Make ``out`` a verified folder of the model ``name``. If it is one already, no network is needed.

    Raises PrepareError when the model cannot be fetched or differs too much after quantisation, and
    ModelFolderError, naming the file, when ``out`` exists but is damaged or of another model.
    """
    recipe = find_recipe(name)
    if not recipe.commercial_use:
        say(f"licence of {recipe.name}: {recipe.licence}, which forbids commercial use")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _existing(out, recipe, quantization)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        say(f"fetching {recipe.source}")
        files = fetch(recipe, Path(scratch))
        say(f"building {recipe.name} ({quantization})")
        staged = Path(scratch) / "staged"
        manifest = build_folder(files, staged, recipe, quantization=quantization)
        _open_to_all(staged)
        # A rename is atomic: the folder is either complete or does not exist.
        if out.is_dir():
            out.rmdir()
        os.replace(staged, out)
    return manifest


def build_folder(files: Path, out: Path, recipe: Recipe, *, quantization: str = "int8") -> Manifest:
    """Build ``out`` from the folder that the model's publisher made."""
    out.mkdir(parents=True)
    built = build(files, out, recipe, quantization=quantization)
    manifest = Manifest(
        name=recipe.name,
        source=recipe.source,
        revision=recipe.identity,
        licence=recipe.licence,
        commercial_use=recipe.commercial_use,
        dimensions=built.dimensions,
        smallest_dimensions=recipe.smallest_dimensions,
        max_length=recipe.max_length,
        pooling=recipe.pooling,
        quantization=quantization,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files={path.name: file_sha256(path) for path in sorted(out.iterdir())},
        tasks=recipe.tasks,
        prefixes=recipe.prefixes,
        default_task=recipe.default_task,
        agreement={"min": round(built.agreement.lowest, 4), "mean": round(built.agreement.mean, 4)},
    )
    write_manifest(out, manifest)
    return manifest


def _open_to_all(folder: Path) -> None:
    """Make the folder readable for all, whatever the umask is: containers read it as another user."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def _existing(out: Path, recipe: Recipe, quantization: str) -> Manifest:
    manifest = verify_folder(out)
    if (manifest.name, manifest.quantization) != (recipe.name, quantization):
        raise ModelFolderError(
            f"{out} holds {manifest.name} ({manifest.quantization}), not {recipe.name} ({quantization}): "
            "choose another folder or remove it"
        )
    if manifest.revision != recipe.identity:
        raise PrepareError(f"{out} was made from other weights: remove the folder, prepare again")
    return manifest
