"""The metrics of functions: reads the lines of CloudWatch's embedded metric format, and shows them to Prometheus.

CloudWatch tells nobody what a figure is, so its unit does: `Count` is added up, `Seconds` are a histogram, and of
anything else the newest figure counts.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from local.emulator.asgi import Receive, Scope, Send

__all__ = ["EmfFigures", "MetricsPage"]

#: How a line of the format begins, as all libraries write it.
_BEGINNING = b'{"_aws":'
#: The dimension whose value becomes the beginning of a name, instead of a label.
_SERVICE = "service"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
#: The queues' figures are left out if it takes longer to get them.
_STATUS_S = 1.0
#: More series than this are not kept: a label with ids would need more and more memory.
_MOST_SERIES = 2000

_Labels = tuple[tuple[str, str], ...]


class _Distribution:
    """The values of one histogram."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(_BUCKETS, value)] += 1
        self.total += value

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """The ending of its name, the label and the value of each figure that Prometheus wants."""
        ends = (*map(str, _BUCKETS), "+Inf")
        for end, below in zip(ends, accumulate(self.counts), strict=True):
            yield "bucket", {"le": end}, below
        yield "count", {}, sum(self.counts)
        yield "sum", {}, self.total


class EmfFigures:
    """What all functions have written since the emulator started."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[_Labels, float]] = defaultdict(dict)
        self._gauges: dict[str, dict[_Labels, float]] = defaultdict(dict)
        self._histograms: dict[str, dict[_Labels, _Distribution]] = defaultdict(dict)
        self._series: set[tuple[str, _Labels]] = set()

    def read(self, line: bytes) -> None:
        """Take a line of a function's log; lines that are none of the format are left alone."""
        if not line.startswith(_BEGINNING):
            return
        try:
            for name, unit, labels, values in _figures(orjson.loads(line)):
                self._take(name, unit, labels, values)
        except (ValueError, LookupError, TypeError, AttributeError):
            return  # CloudWatch drops what it does not understand, too

    def families(self) -> Iterator[Metric]:
        """All figures in the form of Prometheus' client."""
        # Each sample has labels of its own: lines of one metric may differ in them.
        for name, counters in self._counters.items():
            counter = CounterMetricFamily(name, name)
            for labels, value in counters.items():
                counter.add_sample(f"{name}_total", dict(labels), value)
            yield counter
        for name, gauges in self._gauges.items():
            gauge = GaugeMetricFamily(name, name)
            for labels, value in gauges.items():
                gauge.add_sample(name, dict(labels), value)
            yield gauge
        for name, histograms in self._histograms.items():
            histogram = HistogramMetricFamily(name, name)
            for labels, found in histograms.items():
                for suffix, more, value in found.samples():
                    histogram.add_sample(f"{name}_{suffix}", {**dict(labels), **more}, value)
            yield histogram

    def _take(self, name: str, unit: str, labels: _Labels, values: list[float]) -> None:
        if (name, labels) not in self._series:
            if len(self._series) >= _MOST_SERIES:
                return
            self._series.add((name, labels))
        if unit == "Count":
            held = self._counters[name]
            held[labels] = held.get(labels, 0.0) + sum(values)
        elif unit == "Seconds":
            distribution = self._histograms[name].setdefault(labels, _Distribution())
            for value in values:
                distribution.add(value)
        else:
            self._gauges[name][labels] = values[-1]


class MetricsPage:
    """Serves `GET /metrics`: the functions' figures, and the emulator's own queues and environments."""

    def __init__(self, figures: EmfFigures, status: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._figures, self._status = figures, status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if scope["type"] != "http":
            return
        found = scope["path"] == "/metrics"
        body = await self._text() if found else b"only /metrics is here\n"
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _text(self) -> bytes:
        try:
            own = list(_own(await asyncio.wait_for(self._status(), _STATUS_S)))
        except TimeoutError:  # the queues hang, and the functions' figures are what tells it
            own = []
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*self._figures.families(), *own]))
        return generate_latest(registry)


class _Collected(Collector):
    """Families that are ready-made."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _own(status: dict[str, Any]) -> Iterator[Metric]:
    messages = GaugeMetricFamily("emulator_queue_messages", "Messages of a queue, by state", labels=["queue", "state"])
    for queue, depths in status["queues"].items():
        for state, number in depths.items():
            messages.add_metric([queue, state], number)
    yield messages
    environments = GaugeMetricFamily(
        "emulator_environments", "Environments of a function, by state", labels=["function", "state"]
    )
    for function, states in status["functions"].items():
        for state, number in states.items():
            if isinstance(number, int | float):
                environments.add_metric([function, state], number)
    yield environments


def _figures(line: dict[str, Any]) -> Iterator[tuple[str, str, _Labels, list[float]]]:
    """Name, unit, labels and values of each metric in a line, in its widest dimension set."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        dimensions = max(directive["Dimensions"], key=len)
        prefix = str(line[_SERVICE]) if _SERVICE in dimensions else str(directive["Namespace"])
        labels = tuple((_snake(name), str(line[name])) for name in dimensions if name != _SERVICE)
        for metric in directive["Metrics"]:
            given = line[metric["Name"]]
            values = [float(value) for value in (given if isinstance(given, list) else [given])]
            if values:
                yield f"{_snake(prefix)}_{_snake(metric['Name'])}", str(metric.get("Unit", "None")), labels, values


def _snake(name: str) -> str:
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower()
