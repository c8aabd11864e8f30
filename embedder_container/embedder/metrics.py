"""What ``/metrics`` tells: one registry for each service, in Prometheus' text form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

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
        self.in_progress = Gauge("embedder_requests_in_progress", "Requests being answered", registry=own)
        self.rejected = Counter("embedder_rejected", "Requests refused because the queue was full", registry=own)
        self.expired = Counter("embedder_expired", "Requests whose deadline passed in the queue", registry=own)
        self.tokens = Counter("embedder_tokens", "Tokens computed, without padding", registry=own)
        self.padding = Counter("embedder_padding_tokens", "Tokens computed that were padding", registry=own)
        self._waiting = Gauge("embedder_queue_tokens", "Tokens waiting", registry=own)
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

    def watch_queue(self, waiting: Callable[[], float]) -> None:
        """Read the queue's length from ``waiting`` whenever the metrics are asked for."""
        self._waiting.set_function(waiting)

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
        return generate_latest(self.registry)
