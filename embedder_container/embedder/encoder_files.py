"""Writes an encoder's graph to a file, in one of the forms that ``prepare`` offers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .adapter_models import save
from .encoder_graph import EncoderShape, EncoderWeights, write_encoder
from .graph_parts import Parts, data_of
from .products import FloatProducts, Int8Products, Products, RowProducts

__all__ = ["FORMS", "write_graph"]

#: The forms of the weights, by the name that `--quantize` and the manifest give them.
FORMS: dict[str, Callable[[Parts, int], Products]] = {
    "none": FloatProducts,
    "int8": Int8Products,
    "int8-rows": RowProducts,
}


def write_graph(out: Path, weights: EncoderWeights, shape: EncoderShape, form: str, *, beside: bool = False) -> None:
    """Write the graph to ``out``; ``beside`` writes the weights one by one into a file beside it."""
    if not beside:
        save(write_encoder(Parts(), weights, shape, FORMS[form]), out)
        return
    with data_of(out).open("wb") as data:
        graph = write_encoder(Parts(data), weights, shape, FORMS[form])
    out.write_bytes(graph.SerializeToString())
