"""Events of functions: HTTP routes, queues and schedules."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from local.emulator.patterns import unknown_operators
from local.emulator.specs import ApiSpec, NotHereError, QueueEventSpec, RouteSpec, ScheduleSpec, Target, TemplateError
from local.emulator.template import apis
from local.emulator.template.document import Document, mapping
from local.emulator.template.expressions import parse_expression
from local.emulator.template.triggers import FUNCTION_EVENTS
from local.emulator.template.unread import unread_of_event
from local.emulator.template.unresolved import reasons_in

#: The routes of each API, which is named with the type of its events.
Routes = dict[tuple[str, str], list[RouteSpec]]


@dataclass(slots=True)
class Events:
    """The events to which the functions of a template listen."""

    apis: tuple[ApiSpec, ...] = ()
    queues: tuple[QueueEventSpec, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    warnings: list[str] = field(default_factory=list)


def read_events(document: Document, resources: dict[str, dict[str, Any]]) -> Events:
    """Return all events of all functions; what is not emulated, or not known here, is warned of."""
    events = Events()
    routes: Routes = {}
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        with document.reading(name):
            for key, event in mapping(resource["Properties"].get("Events"), "Events").items():
                try:
                    _add(document, resources, events, routes, (name, key, mapping(event, f"event {key}")))
                except NotHereError as error:
                    events.warnings.append(document.told(name, f"its event {key} is left out: {error}"))
    for name, kind in apis.with_documents(resources):
        routes.setdefault((name, kind), [])
    for (name, kind), listed in routes.items():
        with document.reading(name):
            try:
                api, problems = apis.api_of(document, resources, (name, kind), listed)
                events.apis += (api,) if api.routes else ()
                events.warnings += [document.told(name, problem) for problem in problems]
            except NotHereError as error:
                events.warnings.append(document.told(name, f"left out: {error}"))
    events.warnings += apis.api_warnings(document, resources, events.apis)
    return events


def _add(
    document: Document,
    resources: dict[str, dict[str, Any]],
    events: Events,
    routes: Routes,
    one: tuple[str, str, dict[str, Any]],
) -> None:
    name, key, event = one
    kind, properties = str(event.get("Type")), mapping(event.get("Properties"), f"Properties of event {key}")
    if "Type" not in event:
        raise TemplateError(f"event {key} needs a Type")
    for reason in reasons_in(properties):
        raise NotHereError(reason)
    if kind in {"HttpApi", "Api"}:
        api = apis.api_named(kind, properties)
        if api in document.section("Resources") and api not in resources:
            raise NotHereError(f"the condition of {api} does not hold")
        route = apis.route_of(document, resources, (name, kind, api), properties)
        routes.setdefault((api, kind), []).append(route)
    elif kind == "SQS":
        if _is_on(properties.get("Enabled", True)):
            events.queues += (_queue(document, name, properties),)
    elif kind in {"Schedule", "ScheduleV2"}:
        events.schedules += _schedule(name, key, kind, properties)
    elif kind not in FUNCTION_EVENTS:  # those are read with the other triggers
        events.warnings.append(document.told(name, f"events of type {kind} are not emulated"))
        return
    if unread := unread_of_event(kind, properties):
        text = f"event {key}: {', '.join(unread)} {'has' if len(unread) == 1 else 'have'} no effect here"
        events.warnings.append(document.told(name, text))


def _is_on(value: Any) -> bool:
    """Return what `Enabled` says, as YAML's boolean or as the text of a parameter."""
    text = str(value).strip().lower()
    if text not in {"true", "false"}:
        raise TemplateError(f"Enabled is true or false, not {value}")
    return text == "true"


def _queue(document: Document, function: str, properties: dict[str, Any]) -> QueueEventSpec:
    name = str(properties.get("Queue", "")).rsplit(":", 1)[-1]
    fifo, size = name.endswith(".fifo"), int(properties.get("BatchSize", 10))
    window = float(properties.get("MaximumBatchingWindowInSeconds", 0))
    if not 1 <= size <= (10 if fifo else 10_000):
        raise document.error(function, "BatchSize is 1 to 10, and to 10000 on standard queues")
    if not 0 <= window <= 300 or (fifo and window):
        raise document.error(function, "MaximumBatchingWindowInSeconds is 0 to 300, and 0 on FIFO queues")
    if size > 10 and window < 1:
        raise document.error(function, "a BatchSize above 10 needs MaximumBatchingWindowInSeconds of 1 or more")
    concurrency = (properties.get("ScalingConfig") or {}).get("MaximumConcurrency")
    if concurrency is not None and not 2 <= int(concurrency) <= 1000:
        raise document.error(function, "ScalingConfig.MaximumConcurrency is 2 to 1000")
    return QueueEventSpec(
        function=function,
        queue=name,
        batch_size=size,
        window=window,
        report_failures="ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or []),
        max_concurrency=None if concurrency is None else int(concurrency),
        filters=_filters(properties.get("FilterCriteria")),
    )


def _filters(criteria: Any) -> tuple[dict[str, Any], ...] | None:
    """Return the patterns of which a message must fit one; None if there are none."""
    listed = mapping(criteria, "FilterCriteria").get("Filters")
    if not listed:
        return None
    return tuple(_pattern(mapping(item, "a filter").get("Pattern")) for item in listed)


def _pattern(text: Any) -> dict[str, Any]:
    try:
        pattern = json.loads(text)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"the Pattern {text} is not JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise TemplateError(f"the Pattern {text} must be a mapping in JSON")
    for name in unknown_operators(pattern):
        raise NotHereError(f"the operator {name} of patterns is not emulated")
    return pattern


def _schedule(function: str, key: str, kind: str, properties: dict[str, Any]) -> tuple[ScheduleSpec, ...]:
    if not _is_on(properties.get("Enabled", True)) or str(properties.get("State", "ENABLED")).upper() != "ENABLED":
        return ()
    expression = str(properties.get("Schedule") or properties.get("ScheduleExpression"))
    parse_expression(expression)  # so that an invalid one is an error of the template
    given = properties.get("Input")
    payload = given if given is None or isinstance(given, str) else json.dumps(given)
    return (
        ScheduleSpec(
            target=Target("function", function),
            name=str(properties.get("Name", f"{function}{key}")),
            expression=expression,
            payload=payload,
            source="aws.scheduler" if kind == "ScheduleV2" else "aws.events",
        ),
    )
