"""Exports a model of any architecture that optimum knows; needs the packages of ``requirements-optimum.txt``."""

from __future__ import annotations

from pathlib import Path

import onnx

from .adapter_models import pooled, save
from .errors import PrepareError

__all__ = ["export"]


def export(files: Path, out: Path, *, pooling: str) -> None:
    """Write the graph of the sentence-transformers folder ``files`` with pooling and norm inside."""
    try:
        from optimum.exporters.onnx import main_export  # noqa: PLC0415 - loads torch
    except ImportError:
        raise PrepareError(
            f"{files.name} has an architecture that is exported by optimum, which is not installed: "
            "prepare it in an environment with requirements-optimum.txt"
        ) from None
    scratch = out.parent / "exported"
    try:
        main_export(str(files), output=scratch, task="feature-extraction", do_validation=False, local_files_only=True)
    except Exception as error:
        raise PrepareError(f"optimum could not export {files.name}: {error}") from error
    model = onnx.load(str(scratch / "model.onnx"))
    inputs = {value.name for value in model.graph.input}
    if not {"input_ids", "attention_mask"} <= inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
        raise PrepareError(f"the exported graph of {files.name} wants other inputs: {', '.join(sorted(inputs))}")
    _without_token_types(model)
    save(pooled(model, pooling), out)
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()


def _without_token_types(model: onnx.ModelProto) -> None:
    """Replace the input of token types by a value of the graph: a single text has type 0 everywhere."""
    for value in list(model.graph.input):
        if value.name == "token_type_ids":
            model.graph.input.remove(value)
            zeros = onnx.helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"], name="token_types")
            model.graph.node.insert(0, zeros)
