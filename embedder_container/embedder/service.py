"""The embedding service behind the APIs: checks, tokenises and queues inputs, and returns vectors with times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .batches import Limits
from .engine import Engine, Ticket
from .errors import InvalidInputError, NotFoundError
from .manifest import Manifest
from .metrics import Metrics
from .model import Runner, Token
from .settings import Settings
from .vector_cache import VectorCache

__all__ = ["TASKS", "Embedded", "Embedding", "Options"]

#: Tasks of jina's API; a model without adapters or prefixes for them answers all of them alike.
TASKS = ("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")

#: Inputs with more characters than this are tokenised in a thread, so that the event loop goes on answering.
INLINE_CHARS = 8192

Input = str | list[int]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an embedding; None leaves the choice to the model. ``deadline`` is in seconds from now.

    With a ``user`` (any opaque name), vectors are cached for later requests of the same user.
    """

    task: str | None = None
    dimensions: int | None = None
    truncate: bool = True
    deadline: float | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors in the order of the inputs, the inputs' tokens, and seconds spent by stage."""

    vectors: NDArray[np.float32]
    tokens: int
    queue: float
    tokenize: float
    inference: float


class Embedding:
    """One model behind its queue. ``start`` and ``stop`` are called on the event loop."""

    def __init__(self, model: Runner, manifest: Manifest, settings: Settings) -> None:
        self.manifest = manifest
        self.settings = settings
        self.metrics = Metrics()
        self.ready = False
        self._model = model
        self._engine: Engine | None = None
        self._cache = VectorCache(settings.kept_vectors)

    async def start(self) -> None:
        """Start the workers and answer one text, after which the service is ready."""
        settings = self.settings
        self._engine = Engine(
            self._model,
            self.metrics,
            dimensions=self.manifest.dimensions,
            limits=Limits(tokens=settings.batch_tokens, rows=settings.batch_rows),
            threads=settings.threads,
            queue_tokens=settings.queue_tokens,
        )
        await self.embed(["warm up"], Options())
        self.ready = True

    def stop(self) -> None:
        """Stop the workers; requests that still wait are not answered."""
        self.ready = False
        if self._engine is not None:
            self._engine.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that requests may use for the model, the manifest's first."""
        return tuple(name for name in (self.manifest.name, self.settings.served_name) if name)

    def require_model(self, name: str | None) -> str:
        """Return the served name that is meant; organisation and case do not matter. Otherwise raise NotFoundError."""
        if name is None:
            return self.names[0]
        for own in self.names:
            if own.rsplit("/", 1)[-1].lower() == name.rsplit("/", 1)[-1].lower():
                return own
        raise NotFoundError(
            f"The model {name!r} is not served here; served: {', '.join(self.names)}.",
            param="model",
            code="model_not_found",
        )

    async def embed(
        self,
        inputs: Sequence[Input],
        options: Options,
        gone: Callable[[Callable[[], None]], None] | None = None,
    ) -> Embedded:
        """Return one vector for each input. ``gone`` gets a function to call when the client leaves.

        Raises InvalidInputError, OverloadedError, DeadlineError and InferenceError; CancelledError when
        the client has gone.
        """
        dimensions = self._dimensions(options.dimensions)
        started = time.monotonic()
        rows, group = await self._tokenize(inputs, options)
        tokenized = time.monotonic()
        keys = self._cache.keys(options.user, group, rows)
        known = self._cache.find(keys)
        self.metrics.kept.inc(len(known))
        vectors = np.empty((len(rows), self.manifest.dimensions), np.float32)
        for place, vector in known.items():
            vectors[place] = vector
        queue = inference = 0.0
        if missing := [place for place in range(len(rows)) if place not in known]:
            left = None if options.deadline is None else options.deadline - (tokenized - started)
            ticket = await self._computed([rows[place] for place in missing], group, left, gone)
            vectors[missing] = ticket.vectors
            if keys:
                for place in missing:
                    self._cache.put(keys[place], vectors[place])
            queue, inference = ticket.started_at - ticket.queued_at, ticket.finished_at - ticket.started_at
        return Embedded(_cut(vectors, dimensions), sum(map(len, rows)), queue, tokenized - started, inference)

    async def _computed(
        self,
        rows: Sequence[Sequence[int]],
        group: str,
        left: float | None,
        gone: Callable[[Callable[[], None]], None] | None,
    ) -> Ticket:
        """Compute rows within ``left`` seconds and return their ticket."""
        engine = self._engine
        if engine is None:
            raise RuntimeError("the service was not started")
        ticket = engine.submit(rows, group)
        if gone is not None:
            gone(lambda: engine.cancel(ticket))
        timer = None
        if left is not None:
            timer = asyncio.get_running_loop().call_later(max(0.0, left), engine.expire, ticket)
        try:
            await ticket.done
        except asyncio.CancelledError:
            engine.cancel(ticket)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return ticket

    async def tokens(self, texts: Sequence[str], *, special: bool = True) -> list[list[Token]]:
        """Return every token of each text, with the special ones that the model is given if ``special``."""
        return await asyncio.to_thread(self._model.explain, texts, special=special)

    @property
    def waiting_tokens(self) -> int:
        """Return the tokens that wait for a worker."""
        return 0 if self._engine is None else self._engine.waiting_tokens

    async def _tokenize(self, inputs: Sequence[Input], options: Options) -> tuple[list[list[int]], str]:
        task = self._task(options.task)
        prefix = self.manifest.prefixes.get(task or "", "")
        texts = [prefix + text for text in inputs if isinstance(text, str)]
        encoded = iter(await self._encode(texts, truncate=options.truncate) if texts else ())
        rows = [
            next(encoded) if isinstance(given, str) else self._model.frame(given, truncate=options.truncate)
            for given in inputs
        ]
        limit = self.manifest.max_length
        for position, row in enumerate(rows):
            if len(row) > limit:
                raise InvalidInputError(
                    f"Input {position} has {len(row)} tokens, the model takes {limit}; shorten it or let "
                    "it be truncated.",
                    param="input",
                    code="context_length_exceeded",
                )
        return rows, (task or "") if self.manifest.tasks else ""

    async def _encode(self, texts: Sequence[str], *, truncate: bool) -> list[list[int]]:
        if sum(map(len, texts)) <= INLINE_CHARS:
            return self._model.tokenize(texts, truncate=truncate)
        return await asyncio.to_thread(self._model.tokenize, texts, truncate=truncate)

    def _task(self, task: str | None) -> str | None:
        if task is None:
            return self.manifest.default_task
        if task not in (self.manifest.tasks or TASKS):
            known = ", ".join(self.manifest.tasks or TASKS)
            raise InvalidInputError(f"The task {task!r} is not known; known are: {known}.", param="task")
        return task

    def _dimensions(self, wanted: int | None) -> int:
        native, smallest = self.manifest.dimensions, self.manifest.smallest_dimensions
        if wanted is None or wanted == native:
            return native
        if smallest is None:
            raise InvalidInputError(
                f"dimensions is {wanted}, but {self.manifest.name} gives {native} only.", param="dimensions"
            )
        if not smallest <= wanted <= native:
            raise InvalidInputError(
                f"dimensions is {wanted}, but {self.manifest.name} gives {smallest} to {native}.",
                param="dimensions",
            )
        return wanted


def _cut(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Keep the first ``dimensions`` values (Matryoshka) and make the vectors unit vectors again."""
    if vectors.shape[1] == dimensions:
        return vectors
    short = vectors[:, :dimensions]
    norms = np.linalg.norm(short, axis=1, keepdims=True)
    return np.ascontiguousarray(short / np.maximum(norms, 1e-12), np.float32)
