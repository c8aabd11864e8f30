"""The metrics at ``/metrics``: one registry for each service, in Prometheus' text form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["SHARED_FOLDER", "Metrics"]

#: The variable that makes prometheus_client store its figures in files, which several processes share.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
TOKENS = (16, 32, 64, 128, 256, 384, 512, 1024, 2048, 8192)


class Metrics:
    """Counters of one service; only the event loop writes them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter(
            "embedder_requests", "Requests answered, by path and status", ("path", "status"), registry=own
        )
        self.in_progress = Gauge(
            "embedder_requests_in_progress", "Requests being answered", registry=own, multiprocess_mode="livesum"
        )
        self.rejected = Counter("embedder_rejected", "Requests refused because the queue was full", registry=own)
        self.expired = Counter("embedder_expired", "Requests whose deadline passed in the queue", registry=own)
        self.tokens = Counter("embedder_tokens", "Tokens computed, without padding", registry=own)
        self.padding = Counter("embedder_padding_tokens", "Tokens computed that were padding", registry=own)
        self.kept = Counter("embedder_kept", "Texts answered with a vector that was kept for their user", registry=own)
        self.waiting = Gauge("embedder_queue_tokens", "Tokens waiting", registry=own, multiprocess_mode="livesum")
        self._wait = Histogram(
            "embedder_queue_wait_seconds", "Time from arrival to batch, by text", buckets=SECONDS, registry=own
        )
        self._rows = Histogram("embedder_batch_rows", "Texts of a batch", buckets=ROWS, registry=own)
        self._batch_tokens = Histogram(
            "embedder_batch_tokens", "Tokens of a batch, padding included", buckets=TOKENS, registry=own
        )
        self._inference = Histogram(
            "embedder_inference_seconds", "Time of the model for a batch", buckets=SECONDS, registry=own
        )

    def observe_batch(self, tokens: int, padded: int, waits: Sequence[float], seconds: float) -> None:
        """Count one batch: useful tokens, tokens with padding, each text's wait, the model's time."""
        self.tokens.inc(tokens)
        self.padding.inc(padded - tokens)
        self._rows.observe(len(waits))
        self._batch_tokens.observe(padded)
        self._inference.observe(seconds)
        for wait in waits:
            self._wait.observe(wait)

    def render(self) -> bytes:
        """Return the figures of all processes that share the folder; without one, of this process."""
        folder = os.environ.get(SHARED_FOLDER)
        if not folder:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        _forget_the_dead(Path(folder))
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of a killed process, whose requests no longer wait; its counters stay."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
