"""A loaded model: tokenizer and ONNX session from a prepared folder; several threads may call it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from .errors import InvalidInputError, ModelFolderError
from .manifest import MODEL, TOKENIZER, Manifest, verify_folder

__all__ = ["TASK_INPUT", "OnnxModel", "Runner", "Token", "load_model", "open_session", "open_tokenizer"]

#: When a text is truncated anyway, only this many characters for each token of the limit are tokenised.
CHARS_PER_TOKEN = 100
#: Batches of more tokens, padding included, give their memory back: ONNX Runtime would keep what its largest batch took
#: for as long as the process lives. Smaller ones keep it, because asking for it again costs a sixth of the time.
LARGE_BATCH_TOKENS = 1024
#: The runtime would fuse sums and norms into an operator that takes four times as long on CPUs. Graphs of format 1
#: gain up to a third without it.
SLOW_FUSIONS = ("SkipLayerNormFusion",)
#: The input of graphs with adapters: the number of the batch's task.
TASK_INPUT = "task_id"

Rows = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text; ``start`` and ``stop`` are characters, None for special tokens."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Runner(Protocol):
    """A model, as the engine needs it. Its methods may be called from any thread."""

    def tokenize(self, texts: Sequence[str], *, truncate: bool = True) -> list[list[int]]:
        """Return the ids of each text with special tokens; ``truncate`` keeps the first ``max_length``."""
        ...

    def frame(self, ids: Sequence[int], *, truncate: bool = True) -> list[int]:
        """Put the special tokens around ids of a text. Raises InvalidInputError for an id out of range."""
        ...

    def explain(self, texts: Sequence[str], *, special: bool = True) -> list[list[Token]]:
        """Return the tokens of each text with their place in it; ``special`` adds those that the model is given."""
        ...

    @property
    def mixes_tasks(self) -> bool:
        """Return whether the rows of one batch may have different tasks."""
        ...

    def run(self, rows: Rows, task: str | Sequence[str] = "") -> NDArray[np.float32]:
        """Return one unit vector for each row, in order; rows may differ in length. ``task`` is each one's or all's."""
        ...


class OnnxModel:
    """A session with one copy of the weights in memory; ``run`` computes on the calling thread."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        tasks: Sequence[str] = (),
        folded: Mapping[str, onnxruntime.InferenceSession] | None = None,
    ) -> None:
        """Create a model around ``session``, or around one session for each task where each has a graph of its own."""
        self._session, self._folded = session, folded or {}
        self._giving_back = onnxruntime.RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._tasks = {task: number for number, task in enumerate(tasks)}
        self._task_shape = _task_shape(session)
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._pad_id = _pad_id(tokenizer)
        self._vocabulary = tokenizer.get_vocab_size(with_added_tokens=True)
        specials = tokenizer.encode("").ids
        self._opening, self._closing = specials[:1], specials[1:]

    def tokenize(self, texts: Sequence[str], *, truncate: bool = True) -> list[list[int]]:
        if truncate:
            # The rest of a very long text does not reach the model; tokenising it would only take time.
            texts = [text[: self._max_length * CHARS_PER_TOKEN] for text in texts]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=True)
        rows = [encoding.ids for encoding in encodings]
        return [self._cut(ids) for ids in rows] if truncate else rows

    def frame(self, ids: Sequence[int], *, truncate: bool = True) -> list[int]:
        for token in ids:
            if not 0 <= token < self._vocabulary:
                raise InvalidInputError(
                    f"The token {token} is not in the vocabulary (0 to {self._vocabulary - 1}).", param="input"
                )
        whole = [*self._opening, *ids, *self._closing]
        return self._cut(whole) if truncate else whole

    def explain(self, texts: Sequence[str], *, special: bool = True) -> list[list[Token]]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [_tokens(encoding) for encoding in encodings]

    @property
    def mixes_tasks(self) -> bool:
        return self._task_shape is None

    def run(self, rows: Rows, task: str | Sequence[str] = "") -> NDArray[np.float32]:
        width = max(len(row) for row in rows)
        ids = np.full((len(rows), width), self._pad_id, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        tasks = [task] * len(rows) if isinstance(task, str) else task
        session = self._folded.get(tasks[0], self._session)
        if self._tasks and not self._folded:
            feed[TASK_INPUT] = self._numbers(tasks)
        options = self._giving_back if ids.size > LARGE_BATCH_TOKENS else None
        result: NDArray[np.float32] = session.run(None, feed, options)[0]
        return result

    def _numbers(self, tasks: Sequence[str]) -> NDArray[np.int64]:
        numbers = np.array([self._tasks[task] for task in tasks], np.int64)
        return numbers if self._task_shape is None else numbers[:1].reshape(self._task_shape)

    def _cut(self, ids: list[int]) -> list[int]:
        """Keep the beginning and the closing special token, as truncation by the tokenizer would."""
        if len(ids) <= self._max_length:
            return ids
        return ids[: self._max_length - len(self._closing)] + self._closing


def load_model(folder: Path, max_tokens: int = 0) -> tuple[OnnxModel, Manifest]:
    """Verify ``folder`` and open it, for texts of at most ``max_tokens`` if given.

    Raises ModelFolderError naming what is wrong with which file.
    """
    manifest = verify_folder(folder)
    if max_tokens:
        manifest = dataclasses.replace(manifest, max_length=min(max_tokens, manifest.max_length))
    folded = {task: open_session(folder / name) for task, name in manifest.graphs.items()}
    session = next(iter(folded.values())) if folded else open_session(folder / MODEL)
    tokenizer = open_tokenizer(folder / TOKENIZER)
    model = OnnxModel(session, tokenizer, max_length=manifest.max_length, tasks=manifest.tasks, folded=folded)
    return model, manifest


def open_session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """Open a graph for callers that bring their own threads: one thread for each call, no spinning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"], disabled_optimizers=[*SLOW_FUSIONS]
        )
    except Exception as error:
        name = MODEL if isinstance(model, bytes) else model
        raise ModelFolderError(f"{name} cannot be opened by ONNX Runtime: {error}") from error


def open_tokenizer(path: Path) -> Tokenizer:
    """Open ``tokenizer.json`` without padding or truncation: both are decided by the batch."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelFolderError(f"{path} is no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _tokens(encoding: Encoding) -> list[Token]:
    rows = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(number, text, bool(special), None if special else start, None if special else stop)
        for number, text, special, (start, stop) in rows
    ]


def _task_shape(session: onnxruntime.InferenceSession) -> list[int] | None:
    """Return the shape of a batch's only task, or None where each row has its own: its size is a name then."""
    shape: list[object] = next((entry.shape for entry in session.get_inputs() if entry.name == TASK_INPUT), [])
    return None if any(isinstance(size, str) for size in shape) else [1] * len(shape)


def _pad_id(tokenizer: Tokenizer) -> int:
    for token in ("[PAD]", "<pad>"):
        number: int | None = tokenizer.token_to_id(token)
        if number is not None:
            return number
    return 0
