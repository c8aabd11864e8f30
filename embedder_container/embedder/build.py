"""Builds a model's graph and tokenizer from the publisher's files: as float first, then as int8, and compares both."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import load_file

from .adapter_models import GRAPH, published_vectors, save
from .adapters import SIDE, split
from .agreement import TEXTS, Agreement, agreement_of, embed_texts, require_agreement
from .bert_encoder import BertEncoder
from .bert_graph import BertConfig, build_graph
from .encoder_files import write_graph
from .errors import PrepareError
from .manifest import MODEL, TOKENIZER
from .model import OnnxModel, load_model, open_session, open_tokenizer
from .published_encoder import PublishedEncoder
from .published_graph import PublishedGraph
from .recipe import Recipe

__all__ = ["REWRITTEN_TEXTS", "Built", "build", "folder_vectors", "open_graph", "quantize", "require_same"]

#: The largest difference of a rewritten graph from the published one: rounding of float32 through 24 layers.
REWRITTEN_TOLERANCE = 1e-4
#: The number of texts for the comparison of the rewritten graph, for each task; the published graph is slow.
REWRITTEN_TEXTS = TEXTS[:6]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Built:
    """The results of a build: the vectors' size, and how close the quantised vectors are."""

    dimensions: int
    agreement: Agreement
    #: The file of each task's graph, where tasks have one each.
    graphs: Mapping[str, str] = field(default_factory=dict)


#: Writes the quantised graph to a path, in one of the forms.
_Quantise = Callable[[Path, str], None]


def build(files: Path, out: Path, recipe: Recipe, *, quantization: str) -> Built:
    """Write model and tokenizer to ``out`` from the publisher's ``files``. Raises PrepareError."""
    shutil.copyfile(files / TOKENIZER, out / TOKENIZER)
    whole = out / ".float"
    whole.mkdir()
    quantise = _BUILDERS[recipe.graph](files, whole / MODEL, recipe)
    original = _vectors(whole, out, recipe)
    if quantization == "none":
        for path in whole.iterdir():
            path.rename(out / path.name)
        agreement = Agreement(1.0, 1.0)
    else:
        quantise(out / MODEL, quantization)
        agreement = agreement_of(original, _vectors(out, out, recipe))
        require_agreement(agreement, lowest=recipe.lowest_cosine, mean=recipe.mean_cosine)
    shutil.rmtree(whole)
    return Built(original.shape[1], agreement)


def quantize(source: Path, out: Path, quantization: str = "int8") -> None:
    """Write a graph of any operators with int8 weights, a scale for each channel, activations as they come.

    ``reduce_range`` keeps to 7 bits, so that the sums of AVX2 machines cannot saturate; with VNNI it
    costs nothing. The small matrices of adapters stay as they are.
    """
    if quantization != "int8":
        raise PrepareError(f"{quantization} needs an encoder whose graph is built here: use int8 or none")
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - half a second to import

    nodes = onnx.load(str(source), load_external_data=False).graph.node
    root = logging.getLogger()
    level = root.level
    # The quantiser recommends its own pre-processing on the root logger; these graphs do not need it.
    root.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            source,
            out,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[node.name for node in nodes if node.name.startswith(SIDE)],
        )
    finally:
        root.setLevel(level)


def folder_vectors(folder: Path) -> Vectors:
    """Compute the fixed texts for every task with a prepared folder."""
    model, manifest = load_model(folder)
    return embed_texts(model, manifest.tasks)


def _vectors(graph: Path, tokenizer: Path, recipe: Recipe, texts: tuple[str, ...] = TEXTS) -> Vectors:
    return embed_texts(open_graph(graph / MODEL, tokenizer, recipe), recipe.tasks, texts)


def open_graph(graph: Path, tokenizer: Path, recipe: Recipe) -> OnnxModel:
    """Open a graph with the tokenizer of a folder, for the tasks of the recipe."""
    return OnnxModel(
        open_session(graph),
        open_tokenizer(tokenizer / TOKENIZER),
        max_length=recipe.max_length,
        tasks=recipe.tasks,
    )


def _build_bert(files: Path, out: Path, recipe: Recipe) -> _Quantise:
    """Write the graph in fused operators, and check that it computes what plain operators compute."""
    config = BertConfig.from_json(json.loads((files / "config.json").read_bytes()), recipe.pooling)
    weights = load_file(files / "model.safetensors")
    # Some publishers save the encoder inside a larger model.
    plain = {name.removeprefix("bert.").removeprefix("roberta."): value for name, value in weights.items()}
    encoder = BertEncoder(plain, config)
    try:
        save(build_graph(plain, config), out)
        expected = _vectors(out.parent, files, recipe, REWRITTEN_TEXTS)
        for path in out.parent.iterdir():
            path.unlink()
        write_graph(out, encoder, encoder.shape, "none")
    except KeyError as error:
        raise PrepareError(f"model.safetensors has no weight {error}: it is not a plain BERT encoder") from None
    require_same(expected, out, files, recipe)
    return lambda to, form: write_graph(to, encoder, encoder.shape, form)


def _build_published(files: Path, out: Path, recipe: Recipe) -> _Quantise:
    """Write the published graph in fused operators, and check that its results for every task stay the same."""
    source, tasks = files / GRAPH, len(recipe.tasks)
    config = json.loads((files / "config.json").read_bytes())
    graph = PublishedGraph.read(source)
    graph.require_data()
    expected = published_vectors(source, open_tokenizer(files / TOKENIZER), range(tasks), REWRITTEN_TEXTS)
    try:
        encoder = PublishedEncoder(graph, config, tasks=tasks, positions=recipe.max_length)
        write_graph(out, encoder, encoder.shape, "none", beside=True)
        require_same(expected, out, files, recipe)
    except PrepareError as error:
        return _build_rewritten(files, out, recipe, expected, error)
    return lambda to, form: write_graph(to, encoder, encoder.shape, form, beside=True)


def _build_rewritten(files: Path, out: Path, recipe: Recipe, expected: Vectors, reason: PrepareError) -> _Quantise:
    """Keep the operators of a graph that is no encoder known here; only the weights of the tasks are rewritten."""
    try:
        split(files / GRAPH, out, len(recipe.tasks))
    except PrepareError as error:
        raise error from reason
    require_same(expected, out, files, recipe)
    return lambda to, form: quantize(out, to, form)


def _build_exported(files: Path, out: Path, recipe: Recipe) -> _Quantise:
    from .optimum_export import export  # noqa: PLC0415 - torch, an extra

    export(files, out, pooling=recipe.pooling)
    return lambda to, form: quantize(out, to, form)


def require_same(expected: Vectors, graph: Path, files: Path, recipe: Recipe) -> None:
    """Raise PrepareError unless the graph gives the expected vectors, for texts alone and side by side."""
    model = open_graph(graph, files, recipe)
    rows = model.tokenize(REWRITTEN_TEXTS)
    together = np.concatenate([model.run(rows, task) for task in recipe.tasks or ("",)])
    for given in (embed_texts(model, recipe.tasks, REWRITTEN_TEXTS), together):
        difference = float(np.abs(expected - given).max())
        if not difference <= REWRITTEN_TOLERANCE:
            raise PrepareError(f"the rewritten graph differs from the published one by {difference:.1e}")


_BUILDERS: dict[str, Callable[[Path, Path, Recipe], _Quantise]] = {
    "bert": _build_bert,
    "published": _build_published,
    "optimum": _build_exported,
}
