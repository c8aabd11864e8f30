"""What the templates say that is billed: memory of functions, alarms, schedules, routes, secrets, the embedder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.cost.tables import CostError, known
from local.emulator.template.document import Document, read_document

__all__ = ["Deployment", "read_deployment"]

_ROOT = Path(__file__).parents[2]
_FUNCTION = "AWS::Serverless::Function"
_APIS = {"AWS::Serverless::HttpApi": "http", "AWS::Serverless::Api": "rest"}


@dataclass(frozen=True)
class Deployment:
    """The two templates under their parameters."""

    parameters: Mapping[str, str]
    #: Gigabytes of each function, by its name in the template.
    memory_gb: Mapping[str, float]
    api: str
    routes: int
    detailed_metrics: bool
    schedules: int
    queues: int
    alarm_metrics: int
    dashboards: int
    snapstart_gb: float
    secrets: int
    interface_endpoints: int
    recovery: bool

    @property
    def architecture(self) -> str:
        """x86_64 or arm64, as prices are named."""
        return self.parameters["Architecture"]

    @property
    def metrics(self) -> bool:
        """Whether the functions write metrics of their own."""
        return self.parameters["Metrics"] != "off"

    def number(self, parameter: str) -> float:
        """A parameter that is a number."""
        try:
            return float(self.parameters[parameter])
        except ValueError:
            raise CostError(f"--parameter {parameter} must be a number, not {self.parameters[parameter]!r}") from None


def read_deployment(changed: Iterable[str] = (), root: Path = _ROOT) -> Deployment:
    """The templates with their defaults, some parameters of either changed by texts of the form NAME=VALUE."""
    main, embedder = _templates(root)
    parameters = _defaults(embedder) | _defaults(main)
    for text in changed:
        name, _, value = text.partition("=")
        parameters[known(name, parameters, "parameter of template.yaml and template-embedder.yaml")] = value
        allowed = _allowed(main, embedder, name)
        if allowed and value not in allowed:
            raise CostError(f"--parameter {name} must be one of {', '.join(allowed)}, not {value!r}")
    resources = {
        name: one
        for name, one in main.section("Resources").items()
        if parameters["Metrics"] != "off" or one.get("Condition") != "HasMetrics"
    }
    # The embedder's own template names a secret that is one of these. A next embedder is there for some days at most.
    names = [name for name in main.section("Parameters") if not name.startswith("Next")]
    secrets = sum(name.endswith("Secret") for name in names)
    return _read(resources, main.section("Globals").get("Function", {}), parameters, secrets)


@cache
def _templates(root: Path) -> tuple[Document, Document]:
    return read_document(root / "template.yaml"), read_document(root / "template-embedder.yaml")


def _read(
    resources: Mapping[str, Any], shared: Mapping[str, Any], parameters: dict[str, str], secrets: int
) -> Deployment:
    functions = {name: shared | one["Properties"] for name, one in resources.items() if one["Type"] == _FUNCTION}
    memory = {name: float(_value(one.get("MemorySize", 128), parameters)) / 1024 for name, one in functions.items()}
    snapped = parameters["SnapStart"] == "true"
    events = [event for one in functions.values() for event in one.get("Events", {}).values()]
    apis = [one for one in resources.values() if one["Type"] in _APIS]
    alarms = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    tables = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::DynamoDB::Table"]
    routes = apis[0]["Properties"].get("DefaultRouteSettings", {})
    return Deployment(
        parameters=parameters,
        memory_gb=memory,
        api=_APIS[apis[0]["Type"]],
        routes=sum(event["Type"] in {"HttpApi", "Api"} for event in events),
        detailed_metrics=routes.get("DetailedMetricsEnabled") is True,
        schedules=sum(event["Type"].startswith("Schedule") for event in events),
        queues=sum(event["Type"] == "SQS" for event in events),
        alarm_metrics=sum(_measured_metrics(one) for one in alarms),
        dashboards=sum(one["Type"] == "AWS::CloudWatch::Dashboard" for one in resources.values()),
        snapstart_gb=sum(memory[name] for name, one in functions.items() if snapped and "SnapStart" in one),
        secrets=secrets,
        interface_endpoints=sum(
            one.get("Properties", {}).get("VpcEndpointType") == "Interface" for one in resources.values()
        ),
        recovery="PointInTimeRecoverySpecification" in tables[0],
    )


def _measured_metrics(alarm: Mapping[str, Any]) -> int:
    """An alarm is billed by the metrics that it reads."""
    return sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1


def _defaults(template: Document) -> dict[str, str]:
    return {name: str(fields.get("Default", "")) for name, fields in template.section("Parameters").items()}


def _allowed(main: Document, embedder: Document, name: str) -> list[str]:
    fields = main.section("Parameters").get(name) or embedder.section("Parameters").get(name) or {}
    return [str(value) for value in fields.get("AllowedValues", [])]


def _value(given: Any, parameters: Mapping[str, str]) -> Any:
    """A value that is there as it is, or a parameter."""
    if isinstance(given, dict) and set(given) == {"Ref"} and given["Ref"] in parameters:
        return parameters[given["Ref"]]
    if isinstance(given, dict):
        raise CostError(f"template.yaml: MemorySize is {given}: local/cost/deployment.py reads numbers and !Ref only")
    return given
