"""Which model must run beside the one that is asked for: that of an index that serves, or that can serve again.

The note beside Milvus' data names the collections of both (`service/stores/ledger_identity.py`), and a collection's
name contains the name and the dimension of its model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from local.up.models import SIZES

__all__ = ["beside"]


def beside(state: Path, model: str) -> str | None:
    """Return the model besides ``model`` that the index of this state folder needs; None when it needs no other."""
    try:
        note = json.loads((state / "milvus" / "collection").read_text(encoding="utf-8"))
        collections = [note["collection"], *note.get("beside", ())]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is no index yet, or the check says what is wrong with it
    # The one that serves comes first: of two others, it is the one without which searches fail.
    return next((found for name in collections if (found := _model_of(str(name))) not in {None, model}), None)


def _model_of(collection: str) -> str | None:
    return next((model for model, size in SIZES.items() if _stem(model, size) in collection), None)


def _stem(model: str, size: int) -> str:
    named = re.sub(r"\W+", "_", model)
    return f"_{named}_{size}_r"
