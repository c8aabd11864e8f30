"""Reads functions, routes, queues and triggers from a document, and names what has no effect here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from local.emulator.specs import FunctionSpec, NotHereError, Place, Template
from local.emulator.template import events, functions, queues, triggers
from local.emulator.template.apis import implicit_apis
from local.emulator.template.document import Document, mapping, read_document
from local.emulator.template.intrinsics import NO_VALUE, Resolver
from local.emulator.template.layers import missing_of_layers
from local.emulator.template.stores import read_stores
from local.emulator.template.unread import unread
from local.emulator.template.unresolved import Unresolved, reasons_in

#: Resources whose properties are read, and properties that are not.
_READ = {
    "AWS::Serverless::Function", "AWS::Serverless::HttpApi", "AWS::Serverless::Api", "AWS::Serverless::LayerVersion",
    "AWS::SQS::Queue", "AWS::ApiGateway::ApiKey",
}  # fmt: skip
_UNREAD = {
    "Policies", "Role", "Tags", "VpcConfig", "PermissionsBoundary", "DeploymentPreference", "Description",
    "DefinitionUri", "Domain", "Models", "GatewayResponses", "AccessLogSetting", "MethodSettings",
}  # fmt: skip
#: The transforms that are carried out, as far as functions and their triggers go.
_TRANSFORMS = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions")
#: Properties whose reader itself decides what a value means that cannot be known here. Others are left out.
_DECIDED_BY_READER = {*functions.DECISIVE, "Environment", "Events", "Layers", "Auth", "ContentUri", "DefinitionBody"}

Resources = dict[str, dict[str, Any]]


def read_template(
    path: Path,
    place: Place,
    parameters: Mapping[str, str] | None = None,
    overridden: Callable[[str], Collection[str]] = lambda _: (),
) -> Template:
    """Read a SAM template into the model; `overridden` names the variables of a function that are set elsewhere.

    Raises:
        TemplateError: the template cannot be run; the text names file, line, resource and fix.
    """
    document = read_document(path)
    with document.reading("Parameters"):
        resolver = Resolver(document, place, parameters)
    resources, left_out = _resources(document, resolver, overridden)
    found = functions.read_functions(document, resolver, resources)
    heard = events.read_events(document, resources)
    made = queues.read_queues(document, resources, resolver)
    fed, not_fed = queues.checked_events(document, found.specs, made, heard.queues)
    others = triggers.read_triggers(document, resources, resolver)
    return Template(
        path=path,
        functions=found.specs,
        apis=heard.apis,
        queues=made,
        queue_events=fed,
        schedules=(*heard.schedules, *others.schedules),
        topics=tuple(others.topics),
        subscriptions=tuple(others.subscriptions),
        bucket_events=tuple(others.bucket_events),
        urls=tuple(others.urls),
        unbuilt=tuple(missing_of_layers(document, resources)),
        stores=read_stores(document, resources, resolver),
        warnings=(
            # What is not called, or fails, precedes what is called otherwise than on AWS.
            *heard.warnings,
            *others.warnings,
            *not_fed,
            *found.warnings,
            *left_out,
            *_of_parameters(document, resolver),
            *document.warnings,
            *_macros(document),
            *unread(document, resources),
            *_runtime_warning(found.specs),
        ),
    )


def _resources(
    document: Document, resolver: Resolver, overridden: Callable[[str], Collection[str]]
) -> tuple[Resources, list[str]]:
    """Return the resources whose condition holds, with Globals merged in and intrinsics resolved, and warnings."""
    shared = document.section("Globals")
    resources: Resources = {}
    warnings: list[str] = []
    for name, resource in document.section("Resources").items():
        if not isinstance(resource, dict) or "Type" not in resource:
            raise document.error(name, "a resource needs a Type")
        kind, own = str(resource["Type"]), resource.get("Properties")
        with document.reading(name):
            properties = mapping(own, "Properties")
            try:
                if not _is_there(resolver, resource):
                    continue
            except NotHereError as error:
                warnings.append(document.told(name, str(error)))
                continue
            defaults = shared.get(kind.rsplit("::", 1)[-1]) if kind.startswith("AWS::Serverless::") else None
            needed = _without(merge(defaults or {}, properties), overridden(name))
            known, unknown = _resolved(kind, needed, resolver)
            metadata = resolver.resolve_parts(mapping(resource.get("Metadata"), "Metadata"))
            known_metadata = {} if isinstance(metadata, Unresolved) else metadata
            resources[name] = {"Type": kind, "Properties": known, "Metadata": known_metadata}
            warnings += [document.told(name, text) for text in unknown]
    for name, kind in implicit_apis(resources).items():
        if name not in resources:
            with document.reading("Globals"):
                defaults = mapping(shared.get(kind.rsplit("::", 1)[-1]), f"Globals of {kind}")
                known, unknown = _resolved(kind, defaults, resolver)
            resources[name] = {"Type": kind, "Properties": known, "Metadata": {}}
            warnings += [document.told(name, text) for text in unknown]
    return resources, warnings


def _is_there(resolver: Resolver, resource: dict[str, Any]) -> bool:
    """Return whether the condition of a resource holds.

    Raises:
        NotHereError: it cannot be decided.
    """
    try:
        return "Condition" not in resource or resolver.condition(resource["Condition"])
    except NotHereError as error:
        raise NotHereError(f"left out, because its condition cannot be decided: {error}") from error


def _without(properties: dict[str, Any], variables: Collection[str]) -> dict[str, Any]:
    """Return the properties without the variables that are set elsewhere: nobody needs to know their values."""
    environment = properties.get("Environment")
    given = environment.get("Variables") if isinstance(environment, dict) else None
    if not isinstance(given, dict):
        return properties
    kept = {key: value for key, value in given.items() if key not in variables}
    return {**properties, "Environment": {"Variables": kept}}


def _resolved(kind: str, properties: dict[str, Any], resolver: Resolver) -> tuple[dict[str, Any], list[str]]:
    """Resolve what the emulator reads; return it and why any property is left out."""
    if kind not in _READ:
        return properties, []
    known: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in properties.items():
        if key in _UNREAD:
            continue
        resolved = resolver.resolve_texts(value) if key == "Environment" else resolver.resolve_parts(value)
        whole = key == "Events" and isinstance(resolved, Unresolved)
        reasons = reasons_in(resolved) if whole or key not in _DECIDED_BY_READER else []
        if reasons:
            unknown.append(f"{key} left out: {reasons[0]}")
        elif resolved is not NO_VALUE:
            known[key] = resolved
    return known, unknown


def _macros(document: Document) -> list[str]:
    """Return a line for each macro of the whole template that is not carried out."""
    given = document.content.get("Transform") or []
    listed = given if isinstance(given, list) else [given]
    return [
        document.told("Transform", f"the macro {macro} is not carried out here")
        for macro in (one.get("Name") if isinstance(one, dict) else one for one in listed)
        if macro not in _TRANSFORMS
    ]


def _of_parameters(document: Document, resolver: Resolver) -> list[str]:
    """Return a line for each parameter that is used and whose value is not known, and for each such name."""
    empty = "the parameter has no value and is an empty text: give --parameter {name}=VALUE"
    lookup = "the parameter stands for a value of SSM, which is not looked up: give --parameter {name}=VALUE"
    return [
        *(document.told(name, empty.format(name=name)) for name in sorted(resolver.emptied)),
        *(document.told(name, lookup.format(name=name)) for name in sorted(resolver.not_looked_up)),
        *(
            document.told(name, f"called {name} here: {why}")
            for name, why in sorted(resolver.unnamed.items())
            if document.section("Resources")[name]["Type"] not in _READ  # those are told with their properties
        ),
    ]


def merge(defaults: Any, own: Any) -> Any:
    """Return Globals and a resource's own properties as SAM merges them: mappings merge, lists add up."""
    if isinstance(defaults, dict) and isinstance(own, dict) and not _is_intrinsic(own):
        both = dict(defaults)
        for key, value in own.items():
            both[key] = merge(defaults[key], value) if key in defaults else value
        return both
    if isinstance(defaults, list) and isinstance(own, list):
        return [*defaults, *own]
    return own


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and str(next(iter(value))).startswith(("Ref", "Fn::"))


def _runtime_warning(specs: dict[str, FunctionSpec]) -> list[str]:
    host = f"python{sys.version_info.major}.{sys.version_info.minor}"
    other = sorted({spec.runtime for spec in specs.values() if not spec.problem} - {host})
    return [f"the template says {', '.join(other)}; functions run under the host's {host}"] if other else []
