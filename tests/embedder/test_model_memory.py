"""The memory of large batches: ONNX Runtime gives it back, and keeps what ordinary batches need again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from embedder.manifest import MODEL
from embedder.model import LARGE_BATCH_TOKENS, OnnxModel, open_session
from tests.embedder import tiny

_SHRINKAGE = "memory.enable_memory_arena_shrinkage"


class RecordedSession:
    """A real session that notes for each batch which memory is to be given back after it."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.given_back: list[str] = []

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: Any, feed: Any, options: onnxruntime.RunOptions | None = None) -> Any:
        self.given_back.append("" if options is None else options.get_run_config_entry(_SHRINKAGE))
        return self._session.run(names, feed, options)


@pytest.mark.parametrize(
    ("rows", "given_back"),
    [(1, ""), (LARGE_BATCH_TOKENS // tiny.MAX_LENGTH, ""), (LARGE_BATCH_TOKENS // tiny.MAX_LENGTH + 1, "cpu:0")],
)
def test_only_the_memory_of_a_large_batch_is_given_back(model_dir: Path, rows: int, given_back: str) -> None:
    session = RecordedSession(open_session(model_dir / MODEL))
    model = OnnxModel(session, tiny.tokenizer(), max_length=tiny.MAX_LENGTH)  # type: ignore[arg-type]
    # Padding counts: all but one of the rows are short.
    batch = [[2, 3], *[[2, 3]] * (rows - 2), [2] * tiny.MAX_LENGTH][-rows:]
    assert model.run(batch).shape == (rows, tiny.HIDDEN)
    assert session.given_back == [given_back]
