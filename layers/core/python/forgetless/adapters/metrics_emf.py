"""Metrics as CloudWatch's embedded metric format (EMF): lines in the log that CloudWatch turns into metrics.

Each label set needs a line of its own. All metrics without labels share one, so most requests write one or two lines.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import cache

import orjson
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from forgetless.adapters.metric_tenants import NO_TENANTS, MetricTenants
from forgetless.ports.metrics import Metric, MetricKind

__all__ = ["EmfMetrics", "emf_name"]

#: CloudWatch takes at most 100 values of a metric in one line. Of more values in one invocation, these are a sample.
_MOST_VALUES = 99

#: A metric, the values of its labels, and the tenant.
_Series = tuple[Metric, tuple[str, ...], str]
#: The dimension sets of a line, besides that of the service alone: what the line is, and what it is added up to.
_Line = tuple[tuple[tuple[str, str], ...], ...]


@cache
def emf_name(metric: Metric) -> str:
    """The metric's name in CloudWatch, for example `IndexLagSeconds`."""
    return "".join(word.capitalize() for word in metric.name.split("_"))


class EmfMetrics:
    """Adds up what one invocation records, and writes it when the invocation ends."""

    def __init__(
        self,
        *,
        namespace: str,
        service: str,
        tenants: MetricTenants = NO_TENANTS,
        write: Callable[[str], object] = print,
    ) -> None:
        self._namespace = namespace
        self._service = service
        self._tenants = tenants
        self._write = write
        self._lock = threading.Lock()
        self._totals: dict[_Series, float] = {}
        self._values: dict[_Series, _Values] = {}
        self._writers: dict[_Line, EphemeralMetrics] = {}

    def record(self, metric: Metric, value: float, labels: tuple[str, ...], tenant: str) -> None:
        series = (metric, labels, self._tenants.of(metric, tenant))
        with self._lock:
            if metric.kind is MetricKind.COUNTER:
                self._totals[series] = self._totals.get(series, 0.0) + value
            elif metric.kind is MetricKind.GAUGE:
                self._totals[series] = value
            else:
                self._values.setdefault(series, _Values()).add(value)

    def flush(self) -> None:
        with self._lock:
            totals, values = self._totals, self._values
            self._totals, self._values = {}, {}
        lines: dict[_Line, list[tuple[Metric, list[float]]]] = defaultdict(list)
        for series, total in totals.items():
            lines[_line_of(series)].append((series[0], [total]))
        for series, several in values.items():
            lines[_line_of(series)].append((series[0], several.sample))
        for line, figures in lines.items():
            self._write(self._text(line, figures))

    def _text(self, line: _Line, figures: list[tuple[Metric, list[float]]]) -> str:
        writer = self._writers.get(line)
        if writer is None:
            writer = self._writers[line] = self._writer(line)
        metrics = {emf_name(metric): {"Unit": _unit(metric), "Value": values} for metric, values in figures}
        return orjson.dumps(writer.serialize_metric_set(metrics)).decode()

    def _writer(self, line: _Line) -> EphemeralMetrics:
        """Powertools' writer of lines with these dimensions. To make one takes longer than to use it."""
        writer = EphemeralMetrics(namespace=self._namespace, service=self._service)
        first, *others = line
        for name, value in (("service", self._service), *first):
            writer.add_dimension(name, value)
        for named in others:
            writer.add_dimensions(service=self._service, **dict(named))
        return writer


def _line_of(series: _Series) -> _Line:
    """The series and what it is added up to, for alarms need totals, and CloudWatch adds up nothing by itself."""
    metric, labels, tenant = series
    named = tuple(zip(metric.labels, labels, strict=True))
    if metric.kind is MetricKind.GAUGE:
        # The gauges of several labels have no total: each is the newest figure, and there may be several in a minute.
        return (named,)
    sets = ((), named, (*named, ("tenant", tenant)) if tenant else named)
    return tuple(dict.fromkeys(sets))


class _Values:
    """A uniform sample of the values of one histogram."""

    def __init__(self) -> None:
        self.sample: list[float] = []
        self._seen = 0

    def add(self, value: float) -> None:
        self._seen += 1
        if len(self.sample) < _MOST_VALUES:
            self.sample.append(value)
        elif (place := random.randrange(self._seen)) < _MOST_VALUES:
            self.sample[place] = value


@cache
def _unit(metric: Metric) -> str:
    """A gauge has no unit: so whoever reads the lines can tell it from what is to be added up."""
    if metric.kind is MetricKind.GAUGE:
        return str(MetricUnit.NoUnit.value)
    return str((MetricUnit.Seconds if metric.name.endswith("_seconds") else MetricUnit.Count).value)
