"""Which alarms of template.yaml ring over lines of EMF: `python -m tests.unit.metrics.alarm_player functions.log`.

CloudWatch adds up a metric for each minute and each dimension set of a line; an alarm rings when enough of the last
minutes are above its threshold. Alarms of other namespaces (AWS/Lambda, AWS/SQS) need AWS and are left out.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.emulator.specs import Place
from local.emulator.template.document import read_document
from local.emulator.template.intrinsics import NO_VALUE, Resolver

__all__ = ["ALARMS", "DOCUMENT", "OWN", "RESOLVER", "STACK", "Figures", "dimensions", "main", "rings", "rings_at"]

DOCUMENT = read_document(Path(__file__).parents[3] / "template.yaml")
RESOLVER = Resolver(DOCUMENT, Place("eu-central-1", "http://queue"))
#: The stack's name, as the emulator gives it: that of the file.
STACK = "template"
_MINUTE = 60


def _resolved() -> dict[str, dict[str, Any]]:
    """The properties of all alarms, as CloudFormation would hand them to CloudWatch."""
    found = {
        name: {key: RESOLVER.resolve(value) for key, value in one["Properties"].items()}
        for name, one in DOCUMENT.content["Resources"].items()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }
    return {name: {key: value for key, value in one.items() if value is not NO_VALUE} for name, one in found.items()}


ALARMS = _resolved()
#: The alarms of metrics of our own.
OWN = {name: alarm for name, alarm in ALARMS.items() if alarm.get("Namespace") == STACK}

#: The name of a metric and its dimensions.
_Series = tuple[str, frozenset[tuple[str, str]]]


def dimensions(alarm: Mapping[str, Any]) -> dict[str, str]:
    """The alarm's dimensions by name."""
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


class Figures:
    """The values of each metric and dimension set, by minute."""

    def __init__(self) -> None:
        self._values: dict[_Series, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def read(self, lines: Iterable[str], *, minute: int | None = None) -> None:
        """Take lines of a log, as of their own minute unless another one is given; what is not EMF is left alone."""
        for line in lines:
            start = line.find('{"_aws":')
            if start >= 0:
                self._take(json.loads(line[start:]), minute)

    def _take(self, line: dict[str, Any], minute: int | None) -> None:
        if minute is None:
            minute = line["_aws"]["Timestamp"] // 1000 // _MINUTE
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for named in directive["Dimensions"]:
                labels = frozenset((name, line[name]) for name in named)
                for metric in directive["Metrics"]:
                    self._values[metric["Name"], labels][minute] += line[metric["Name"]]

    def total(self, metric: str, **labels: str) -> float:
        """What a counter with these labels was added up to, in all minutes."""
        series = self._values.get((metric, frozenset({"service": "forgetless", **labels}.items())), {})
        return sum(sum(values) for values in series.values())

    def _by_minute(self, alarm: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
        """Each minute that has values, with the alarm's statistic."""
        of = {"Sum": sum, "Maximum": max}[alarm["Statistic"]]
        found = self._values.get((alarm["MetricName"], frozenset(dimensions(alarm).items())), {})
        return ((minute, of(values)) for minute, values in found.items())

    def above(self, alarm: Mapping[str, Any]) -> dict[int, float]:
        """The minutes in which the alarm's threshold is exceeded, and the statistic."""
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert (alarm["Period"], alarm["TreatMissingData"]) == (_MINUTE, "notBreaching")
        return {minute: value for minute, value in sorted(self._by_minute(alarm)) if value > alarm["Threshold"]}


def rings_at(alarm: Mapping[str, Any], figures: Figures) -> int | None:
    """The first minute at whose end the alarm rings; None if it never does."""
    last = alarm["EvaluationPeriods"]
    wanted = alarm.get("DatapointsToAlarm", last)
    above = figures.above(alarm)
    for minute in above:
        if sum(minute - last < one <= minute for one in above) >= wanted:
            return minute
    return None


def rings(figures: Figures) -> set[str]:
    """The names of our alarms that rang at some time."""
    return {name for name, alarm in OWN.items() if rings_at(alarm, figures) is not None}


def main(files: list[str]) -> None:
    """Print the alarms that the lines of these files make ring, and when."""
    figures = Figures()
    for file in files:
        with Path(file).open(encoding="utf-8") as lines:
            figures.read(lines)
    for name, alarm in OWN.items():
        minute = rings_at(alarm, figures)
        when = "-" if minute is None else f"{datetime.fromtimestamp((minute + 1) * _MINUTE, UTC):%H:%M:%S}Z"
        above = figures.above(alarm).items()
        shown = ", ".join(f"{datetime.fromtimestamp(at * _MINUTE, UTC):%H:%M} {value:g}" for at, value in above)
        print(f"{name:22} {when:10} {shown}".rstrip())


if __name__ == "__main__":
    main(sys.argv[1:])
