"""Describes a publisher's folder on this machine by its own configuration files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .adapter_models import GRAPH
from .errors import PrepareError
from .manifest import file_sha256
from .recipe import NON_COMMERCIAL, Recipe

__all__ = ["describe"]

#: Encoders whose graph is built here from the weights; others are exported by optimum.
BUILT_HERE = ("bert", "xlm-roberta")


def describe(folder: Path) -> Recipe:
    """Return the recipe of a folder in sentence-transformers' layout, or with a published graph with adapters."""
    config = _read_json(folder / "config.json")
    if config.get("lora_adaptations") and (folder / GRAPH).is_file():
        return with_adapters(folder, config)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise PrepareError(f"{weights} is missing")
    licence = _licence(folder)
    kind = config.get("model_type", "bert")
    pooling = _read_json(folder / "1_Pooling" / "config.json", optional=True)
    limits = _read_json(folder / "sentence_bert_config.json", optional=True)
    return Recipe(
        name=folder.name,
        source=f"folder {folder.name}",
        graph="bert" if kind in BUILT_HERE else "optimum",
        weights_sha256=file_sha256(weights),
        licence=licence,
        commercial_use=not NON_COMMERCIAL.search(licence),
        max_length=int(limits.get("max_seq_length") or _positions(config)),
        pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
        folder=folder,
    )


def with_adapters(folder: Path, config: dict[str, Any]) -> Recipe:
    """Return the recipe of a folder like jina-embeddings-v3's; its configuration names the tasks."""
    data = folder / GRAPH.parent / f"{GRAPH.name}_data"
    tasks = tuple(config["lora_adaptations"])
    instructions = config.get("task_instructions", {})
    licence = _licence(folder)
    sizes = config.get("matryoshka_dimensions")
    return Recipe(
        name=folder.name,
        source=f"folder {folder.name}",
        graph="published",
        weights_sha256=file_sha256(data if data.is_file() else folder / GRAPH),
        licence=licence,
        commercial_use=not NON_COMMERCIAL.search(licence),
        max_length=min(_positions(config), 8192),
        tasks=tasks,
        prefixes={task: text for task, text in instructions.items() if text},
        default_task="text-matching" if "text-matching" in tasks else tasks[0],
        smallest_dimensions=min(sizes) if sizes else None,
        folder=folder,
    )


def _positions(config: dict[str, Any]) -> int:
    """Return the number of usable positions: models like RoBERTa do not use those up to the padding's id."""
    total = int(config.get("max_position_embeddings") or 512)
    return total - int(config.get("pad_token_id", 1)) - 1 if config.get("model_type") == "xlm-roberta" else total


def _licence(folder: Path) -> str:
    """Return the licence from the head of the publisher's model card."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    found = re.search(r"^license:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else "unknown"


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    if optional and not path.is_file():
        return {}
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PrepareError(f"{path} cannot be read: {error}") from None
    return value
