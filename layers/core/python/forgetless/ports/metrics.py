"""Metrics: the registry of everything that is counted and measured, and the port to where the figures go.

A metric is recorded where it happens, once: `SEARCHES.count()`. Where the figures go is decided when the process starts
(`runtime/metrics.py`). Without a sink, recording does nothing. docs/metrics.md describes each metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

__all__ = [
    "ADDS",
    "ADDS_FAILED",
    "ADDS_HELD",
    "BUCKETS_S",
    "BULK_JOBS_FAILED",
    "CANDIDATES_REFUSED",
    "COLD_STARTS",
    "DEAD_LETTERS",
    "DEPENDENCY_ERRORS",
    "EXTRACTIONS",
    "EXTRACTION_FAILURES",
    "FACTS",
    "INDEX_LAG_SECONDS",
    "LLM_CALLS",
    "LLM_TOKENS",
    "METRICS",
    "OLDEST_JOB_SECONDS",
    "OPEN_JOBS",
    "OTHER",
    "PORT_SECONDS",
    "REQUESTS",
    "REQUEST_SECONDS",
    "SEARCHES",
    "SEARCHES_WIDENED",
    "SWEEPS",
    "THROTTLES",
    "WEBHOOKS_DISABLED",
    "WEBHOOK_ATTEMPTS",
    "Metric",
    "MetricKind",
    "MetricSink",
    "metrics_are_recorded",
    "record_metrics_in",
    "recording_metrics",
]

#: The value of a label whose value is none of those that its metric declares.
OTHER = "other"

#: The upper ends of the buckets of every histogram: all of them are of seconds.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)


class MetricKind(StrEnum):
    """How the figures of a metric are put together: added up, replaced by the newest, or kept as a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MetricSink(Protocol):
    """Where the figures of this process go. It may be called by several threads at once."""

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], tenant: str) -> None:
        """Take one figure. `labels` has a value for each label of the metric, and `tenant` may be empty."""

    def flush(self) -> None:
        """Write what has not been written yet, if this sink writes."""


_sink: MetricSink | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric: its name in Prometheus' form (without prefix and ending), its kind and what it says.

    Each label has a few values that are declared here, so the number of series is bounded. `by_tenant` metrics get the
    tenant as another label if a setting asks for it.
    """

    name: str
    kind: MetricKind
    about: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_tenant: bool = False

    def count(self, amount: float = 1, *, tenant: str = "", **labels: str) -> None:
        """Add to a counter."""
        if _sink is not None:
            _sink.record(self, amount, self._values(labels), tenant)

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        if _sink is not None:
            _sink.record(self, value, self._values(labels), "")

    def observe(self, value: float, **labels: str) -> None:
        """Add one value to a histogram."""
        if _sink is not None:
            _sink.record(self, value, self._values(labels), "")

    def _values(self, given: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(given[name] if given[name] in known else OTHER for name, known in self.labels.items())


def record_metrics_in(sink: MetricSink | None) -> None:
    """From now on, this process records in the sink, or not at all."""
    global _sink  # noqa: PLW0603 - as with the handlers of `logging`, a process has one
    _sink = sink


def metrics_are_recorded() -> bool:
    """Whether it is worth to compute a figure that costs something."""
    return _sink is not None


@contextmanager
def recording_metrics(sink: MetricSink | None) -> Iterator[None]:
    """Record in the sink for a while; for tests and measurements."""
    before = _sink
    record_metrics_in(sink)
    try:
        yield
    finally:
        record_metrics_in(before)


def _counter(name: str, about: str, *, by_tenant: bool = False, **labels: tuple[str, ...]) -> Metric:
    return Metric(name, MetricKind.COUNTER, about, labels, by_tenant)


def _gauge(name: str, about: str, **labels: tuple[str, ...]) -> Metric:
    return Metric(name, MetricKind.GAUGE, about, labels)


def _histogram(name: str, about: str) -> Metric:
    return Metric(name, MetricKind.HISTOGRAM, about)


REQUESTS = _counter(
    "requests", "Requests answered, by class of status", by_tenant=True, status=("2xx", "3xx", "4xx", "5xx")
)
REQUEST_SECONDS = _histogram("request_seconds", "Time of a request in this process")
THROTTLES = _counter(
    "throttles",
    "Requests refused by a limit, by limit",
    by_tenant=True,
    limit=("requests", "guesses", "adds", "updates", "searches", "memories", "llm_tokens", "llm_waits"),
)
COLD_STARTS = _counter(
    "cold_starts",
    "First invocations of an environment, by function",
    function=("memories", "search", "mcp", "ingest", "sweep", "bulk", "webhooks"),
)

SEARCHES = _counter("searches", "Searches", by_tenant=True)
SEARCHES_WIDENED = _counter("searches_widened", "Further looks into the index because the ledger refused candidates")
CANDIDATES_REFUSED = _counter("candidates_refused", "Rows of the index that the ledger did not confirm")

ADDS = _counter("adds", "Adds accepted, by what becomes of them", by_tenant=True, kind=("verbatim", "inferred"))
EXTRACTIONS = _counter("extractions", "Adds from which facts were extracted")
FACTS = _counter("facts", "Memories that extractions stored")
EXTRACTION_FAILURES = _counter(
    "extraction_failures",
    "Attempts of an extraction that failed, by code of the error",
    by_tenant=True,
    code=(
        "provider_unavailable",
        "provider_auth_failed",
        "provider_bad_request",
        "provider_bad_reply",
        "deadline_exceeded",
        "embedder_unavailable",
        "vector_store_unavailable",
        "datastore_unavailable",
        "version_conflict",
        "internal_error",
    ),
)
ADDS_HELD = _counter("adds_held", "Tries of an add that were put off because a part fails", by_tenant=True)
ADDS_FAILED = _counter("adds_failed", "Adds that failed for good", by_tenant=True)

LLM_CALLS = _counter(
    "llm_calls",
    "Calls of the LLM, by outcome: answered, its input refused, failed through no fault of the input",
    outcome=("answered", "refused", "failed"),
)
LLM_TOKENS = _counter("llm_tokens", "Tokens that the LLM reported", kind=("prompt", "completion"))

_PORTS = ("ledger", "index", "embedder", "llm", "queue")
#: By part, how long calls take.
PORT_SECONDS = {part: _histogram(f"{part}_seconds", f"Time of a call to the {part}") for part in _PORTS}
DEPENDENCY_ERRORS = _counter("dependency_errors", "Calls to a part that failed, by part", part=_PORTS)

WEBHOOK_ATTEMPTS = _counter("webhook_attempts", "Messages to webhooks, by outcome", outcome=("arrived", "failed"))
WEBHOOKS_DISABLED = _counter("webhooks_disabled", "Webhooks that were disabled after a day of failures")
BULK_JOBS_FAILED = _counter("bulk_jobs_failed", "Bulk jobs that failed for good")

SWEEPS = _counter("sweeps", "Runs of sweep")
INDEX_LAG_SECONDS = _gauge("index_lag_seconds", "For how long the oldest pending memory waits for the index")
OPEN_JOBS = _gauge("open_jobs", "Adds that have not ended, by state", state=("pending", "held", "running"))
OLDEST_JOB_SECONDS = _gauge("oldest_job_seconds", "Age of the oldest add that has not ended")
DEAD_LETTERS = _gauge("dead_letters", "Adds that failed for good and were neither started again nor dismissed")

#: All metrics, in the order of docs/metrics.md.
METRICS = (
    REQUESTS,
    REQUEST_SECONDS,
    THROTTLES,
    COLD_STARTS,
    SEARCHES,
    SEARCHES_WIDENED,
    CANDIDATES_REFUSED,
    ADDS,
    EXTRACTIONS,
    FACTS,
    EXTRACTION_FAILURES,
    ADDS_HELD,
    ADDS_FAILED,
    LLM_CALLS,
    LLM_TOKENS,
    *PORT_SECONDS.values(),
    DEPENDENCY_ERRORS,
    WEBHOOK_ATTEMPTS,
    WEBHOOKS_DISABLED,
    BULK_JOBS_FAILED,
    SWEEPS,
    INDEX_LAG_SECONDS,
    OPEN_JOBS,
    OLDEST_JOB_SECONDS,
    DEAD_LETTERS,
)
