"""Builds a graph for each of some tasks of a model with adapters: faster than one for all, but each as large."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from .adapter_models import GRAPH, published_vectors
from .agreement import Agreement, agreement_of, embed_texts, require_agreement
from .build import REWRITTEN_TEXTS, Built, open_graph, require_same
from .encoder_files import write_graph
from .errors import PrepareError
from .manifest import MODEL, TOKENIZER
from .model import open_tokenizer
from .published_encoder import PublishedEncoder
from .published_graph import PublishedGraph
from .recipe import Recipe

__all__ = ["build_folded", "with_folded"]


def with_folded(recipe: Recipe, tasks: tuple[str, ...]) -> Recipe:
    """Return the recipe with a graph for each of ``tasks`` and none of the others. PrepareError names a wrong one."""
    for task in tasks:
        if recipe.graph != "published" or task not in recipe.tasks:
            known = ", ".join(recipe.tasks if recipe.graph == "published" else ()) or "none, it has no adapters"
            raise PrepareError(f"{recipe.name} has no task {task!r} to fold; its tasks are: {known}")
    default = recipe.default_task if recipe.default_task in tasks else tasks[0]
    return replace(recipe, folded=tasks, default_task=default)


def build_folded(files: Path, out: Path, recipe: Recipe, *, quantization: str) -> Built:
    """Write tokenizer and graphs to ``out``, each compared with the published graph. Raises PrepareError."""
    shutil.copyfile(files / TOKENIZER, out / TOKENIZER)
    graph = PublishedGraph.read(files / GRAPH)
    graph.require_data()
    names = {task: MODEL if not place else f"model-{place + 1}.onnx" for place, task in enumerate(recipe.folded)}
    agreements, dimensions = [], 0
    config = json.loads((files / "config.json").read_bytes())
    for task, name in names.items():
        number = recipe.tasks.index(task)
        encoder = PublishedEncoder(graph, config, tasks=len(recipe.tasks), positions=recipe.max_length, task=number)
        dimensions, agreement = _build_one(files, out / name, recipe, encoder, quantization)
        agreements.append(agreement)
    mean = sum(agreement.mean for agreement in agreements) / len(agreements)
    return Built(dimensions, Agreement(min(agreement.lowest for agreement in agreements), mean), names)


def _build_one(
    files: Path, out: Path, recipe: Recipe, encoder: PublishedEncoder, quantization: str
) -> tuple[int, Agreement]:
    one = replace(recipe, tasks=())
    whole = out.parent / ".float"
    whole.mkdir()
    write_graph(whole / MODEL, encoder, encoder.shape, "none", beside=True)
    tokenizer = open_tokenizer(files / TOKENIZER)
    expected = published_vectors(files / GRAPH, tokenizer, (encoder.task,), REWRITTEN_TEXTS)
    require_same(expected, whole / MODEL, files, one)
    original = embed_texts(open_graph(whole / MODEL, files, one))
    shutil.rmtree(whole)
    write_graph(out, encoder, encoder.shape, quantization, beside=True)
    agreement = agreement_of(original, embed_texts(open_graph(out, files, one)))
    require_agreement(agreement, lowest=recipe.lowest_cosine, mean=recipe.mean_cosine)
    return original.shape[1], agreement
