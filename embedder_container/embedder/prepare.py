"""Makes a model folder for ``serve`` from published weights: fetches, builds, compares and describes it."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .agreement import agreement_of
from .build import build, folder_vectors
from .errors import ModelFolderError, PrepareError
from .folded import build_folded, with_folded
from .manifest import FORMAT, Manifest, file_sha256, verify_folder, write_manifest
from .recipe import Recipe
from .sources import fetch, find_recipe

__all__ = ["build_folder", "prepare"]

#: The name of a folder that is not complete yet.
STAGED = "staged"
#: The least cosine, over the fixed texts, of vectors that one index may hold together.
SAME_INDEX = 0.99
#: Says why a folder of an earlier format was kept, so that it is not made anew at each start.
KEPT = "kept-as-it-was"

Say = Callable[[str], None]


def prepare(
    name: str, out: Path, *, quantization: str | None = None, fold: tuple[str, ...] = (), say: Say = print
) -> Manifest:
    """Make ``out`` a verified folder of the model ``name``. If it is one already, no network is needed.

    ``fold`` are tasks that get a graph each; without it, one graph serves all tasks. A folder of an earlier format is
    made anew, unless that fails or would change its vectors. Raises PrepareError when the model cannot be fetched or
    differs too much after quantisation, and ModelFolderError, naming the file, when ``out`` exists but is damaged or
    of another model.
    """
    recipe = with_folded(find_recipe(name), fold) if fold else find_recipe(name)
    form = quantization or recipe.quantization
    if not recipe.commercial_use:
        say(f"licence of {recipe.name}: {recipe.licence}, which forbids commercial use")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        manifest = _existing(out, recipe, form)
        current = manifest.format == FORMAT or (out / KEPT).is_file()
        return manifest if current else _renewed(out, manifest, recipe, say)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        manifest = _staged(Path(scratch), recipe, form, say)
        # A rename is atomic: the folder is either complete or does not exist.
        if out.is_dir():
            out.rmdir()
        os.replace(Path(scratch) / STAGED, out)
    return manifest


def _staged(scratch: Path, recipe: Recipe, form: str, say: Say) -> Manifest:
    """Make the folder within ``scratch``."""
    say(f"fetching {recipe.source}")
    files = fetch(recipe, scratch)
    say(f"building {recipe.name} ({form})")
    manifest = build_folder(files, scratch / STAGED, recipe, quantization=form)
    _open_to_all(scratch / STAGED)
    return manifest


def _renewed(out: Path, manifest: Manifest, recipe: Recipe, say: Say) -> Manifest:
    """Make a folder of an earlier format anew, under the same name only if its vectors stay the same for an index."""
    say(f"{out} was prepared by an earlier version: preparing it anew")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            staged = Path(scratch) / STAGED
            new = _staged(Path(scratch), recipe, manifest.quantization, say)
            cosine = agreement_of(folder_vectors(out), folder_vectors(staged)).lowest
            if cosine < SAME_INDEX:
                reason = f"vectors of the new graph differ (cosine {cosine:.4f}, an index needs {SAME_INDEX})"
                (out / KEPT).write_text(f"{reason}\n")
                new_name = f"the name {recipe.name}-2" if recipe.folder is None else "a folder of another name"
                say(f"{out} is kept: {reason}. Prepare the new graph under {new_name}, for an index of its own")
                return manifest
            # Whoever serves from the old folder has its files open.
            os.replace(out, Path(scratch) / "old")
            os.replace(staged, out)
    except (PrepareError, OSError) as error:
        say(f"{out} is kept as the earlier version made it, which is slower: {error}")
        return manifest
    say(f"{out} was made anew; its vectors agree with the earlier ones (cosine at least {cosine:.4f})")
    return new


def build_folder(files: Path, out: Path, recipe: Recipe, *, quantization: str = "int8") -> Manifest:
    """Build ``out`` from the folder that the model's publisher made."""
    out.mkdir(parents=True)
    built = (build_folded if recipe.folded else build)(files, out, recipe, quantization=quantization)
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
        tasks=recipe.folded or recipe.tasks,
        prefixes=recipe.prefixes,
        graphs=built.graphs,
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
    if tuple(manifest.graphs) != recipe.folded:
        held = f"graphs for {', '.join(manifest.graphs)}" if manifest.graphs else "one graph for all tasks"
        raise ModelFolderError(f"{out} holds {held}: choose another folder or remove it")
    if manifest.revision != recipe.identity:
        raise PrepareError(f"{out} was made from other weights: remove the folder, prepare again")
    return manifest
