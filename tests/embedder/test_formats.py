"""Folders that an earlier version prepared: served as they are, and made anew where an index does not notice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder import build, sources
from embedder.bert_encoder import BertEncoder
from embedder.bert_graph import BertConfig, build_graph
from embedder.build import folder_vectors, quantize
from embedder.encoder_graph import EncoderShape
from embedder.errors import PrepareError
from embedder.manifest import file_sha256, load_manifest, verify_folder, write_manifest
from embedder.model import load_model
from embedder.prepare import KEPT, prepare
from embedder.recipe import Recipe
from tests.embedder import tiny


class Index:
    """A publisher's folder in the place of a package, and a model folder that format 1's `prepare` made of it."""

    def __init__(self, folder: Path) -> None:
        self.files = tiny.write_files(folder / "files")
        self.reachable = True
        self.out = folder / "models" / "tiny"

    def fetch(self, recipe: Recipe, into: Path) -> Path:
        """Take the place of the download, which pip's tests cover."""
        del into
        if not self.reachable:
            raise PrepareError(f"{recipe.source} could not be downloaded")
        return self.files

    def make_old(self, weights: dict[str, NDArray[np.float32]]) -> None:
        config = json.loads((self.files / "config.json").read_text())
        graph = build_graph(weights, BertConfig.from_json(config))
        plain = self.out.parent / "plain.onnx"
        plain.write_bytes(graph.SerializeToString())
        quantize(plain, self.out / "model.onnx")
        plain.unlink()
        digests = {name: file_sha256(self.out / name) for name in ("model.onnx", "tokenizer.json")}
        write_manifest(self.out, dataclasses.replace(load_manifest(self.out), format=1, files=digests))

    def prepare(self, name: str = "tiny", out: Path | None = None) -> list[str]:
        said: list[str] = []
        prepare(name, out or self.out, say=said.append)
        return said


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index(tmp_path)
    monkeypatch.setitem(sources.KNOWN, "tiny", tiny.packaged(made.files))
    monkeypatch.setattr("embedder.prepare.fetch", made.fetch)
    made.prepare()
    made.make_old(tiny.weights())
    return made


def test_an_earlier_folder_is_served_as_it_is(index: Index) -> None:
    assert verify_folder(index.out).format == 1
    model, _ = load_model(index.out)
    assert model.run(model.tokenize(["the cat"])).shape == (1, tiny.HIDDEN)


def test_an_earlier_folder_is_made_anew_and_its_vectors_stay(index: Index) -> None:
    before = folder_vectors(index.out)
    assert "its vectors agree" in index.prepare()[-1]
    assert verify_folder(index.out).format == 2
    assert np.sum(before * folder_vectors(index.out), axis=1).min() > 0.999
    assert [path.name for path in index.out.parent.iterdir()] == ["tiny"]
    assert index.prepare() == []


def test_without_the_network_an_earlier_folder_is_kept(index: Index) -> None:
    index.reachable = False
    said = index.prepare()
    assert "kept as the earlier version made it" in said[-1]
    assert "could not be downloaded" in said[-1]
    assert verify_folder(index.out).format == 1


def test_an_earlier_folder_with_other_vectors_is_kept_once_and_for_all(index: Index) -> None:
    index.make_old(tiny.weights(seed=8))
    before = folder_vectors(index.out)
    said = index.prepare()
    assert "vectors of the new graph differ" in said[-1]
    assert "under the name tiny-2, for an index of its own" in said[-1]
    assert (index.out / KEPT).read_text().startswith("vectors of the new graph differ (cosine")
    assert index.prepare() == []
    assert np.array_equal(folder_vectors(index.out), before)


@pytest.mark.parametrize(("name", "form"), [("tiny-2", "int8"), ("tiny-rows", "int8-rows")])
def test_a_variant_has_a_name_of_its_own_so_that_no_index_mixes_vectors(index: Index, name: str, form: str) -> None:
    index.prepare(name, index.out.with_name(name))
    manifest = verify_folder(index.out.with_name(name))
    assert (manifest.name, manifest.quantization, manifest.format) == (name, form, 2)


class Misread(BertEncoder):
    """Weights that are read with another number of heads: every vector is another."""

    @property
    def shape(self) -> EncoderShape:
        return dataclasses.replace(super().shape, heads=1)


def test_fused_operators_that_compute_something_else_are_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BertEncoder", Misread)
    with pytest.raises(PrepareError, match="differs from the published one"):
        prepare(str(index.files), index.out.with_name("own"), say=lambda _line: None)
    assert not index.out.with_name("own").exists()
