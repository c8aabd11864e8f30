"""Reads functions, routes, queues and triggers from a document, and warns of what is not emulated."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.emulator.specs import FunctionSpec, Place, Template
from local.emulator.template import events, functions, queues, triggers
from local.emulator.template.apis import implicit_apis
from local.emulator.template.document import Document, read_document
from local.emulator.template.intrinsics import NO_VALUE, Resolver

#: Resources that need nothing from the emulator: functions only use their names.
_NAMES_ONLY = (
    "AWS::Serverless::LayerVersion", "AWS::Serverless::HttpApi", "AWS::Serverless::Api",
    "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey", "AWS::DynamoDB::Table",
    "AWS::Serverless::SimpleTable", "AWS::IAM::", "AWS::Logs::", "AWS::CloudWatch::", "AWS::SQS::QueuePolicy",
    "AWS::KMS::", "AWS::SSM::",
)  # fmt: skip


#: Resources whose properties are read, and properties that are not.
_READ = {
    "AWS::Serverless::Function", "AWS::Serverless::HttpApi", "AWS::Serverless::Api", "AWS::Serverless::LayerVersion",
    "AWS::SQS::Queue", "AWS::ApiGateway::ApiKey",
}  # fmt: skip
_UNREAD = {
    "Policies", "Role", "Tags", "VpcConfig", "PermissionsBoundary", "DeploymentPreference", "Description",
    "DefinitionBody", "DefinitionUri", "Domain", "Models", "GatewayResponses", "AccessLogSetting", "MethodSettings",
}  # fmt: skip
#: Properties that change what a caller or a function sees on AWS, but have no effect here.
_IGNORED = {
    "AWS::Serverless::Function": (
        "EventInvokeConfig", "DeadLetterQueue", "SnapStart", "ProvisionedConcurrencyConfig",
        "EphemeralStorage", "FileSystemConfigs", "ImageConfig", "VpcConfig",
    ),
    "AWS::Serverless::HttpApi": (
        "Domain", "DefaultRouteSettings", "RouteSettings", "DefinitionBody", "DefinitionUri",
    ),
    "AWS::Serverless::Api": (
        "Domain", "DefinitionBody", "DefinitionUri", "GatewayResponses", "Models", "MinimumCompressionSize",
        "CacheClusterEnabled", "CanarySetting", "MethodSettings",
    ),
    "AWS::SQS::Queue": ("RedriveAllowPolicy", "KmsMasterKeyId"),
}  # fmt: skip


def read_template(path: Path, place: Place, parameters: Mapping[str, str] | None = None) -> Template:
    """Read a SAM template into the model.

    Raises:
        TemplateError: the template cannot be run; the text names file, line, resource and fix.
    """
    document = read_document(path)
    with document.reading("Parameters"):
        resolver = Resolver(document, place, parameters)
    resources = _resources(document, resolver)
    specs = functions.read_functions(document, resolver, resources)
    found = events.read_events(document, resources)
    made = queues.read_queues(document, resources, resolver)
    others = triggers.read_triggers(document, resources, resolver)
    queues.check_visibility(document, specs, made, found.queues)
    return Template(
        path=path,
        functions=specs,
        apis=found.apis,
        queues=made,
        queue_events=found.queues,
        schedules=(*found.schedules, *others.schedules),
        topics=tuple(others.topics),
        subscriptions=tuple(others.subscriptions),
        bucket_events=tuple(others.bucket_events),
        urls=tuple(others.urls),
        warnings=(
            *_unsupported(document, resources),
            *_ignored(document, resources),
            *found.warnings,
            *others.warnings,
            *functions.foreign_layers(document, resources),
            *_runtime_warning(specs),
        ),
    )


def _resources(document: Document, resolver: Resolver) -> dict[str, dict[str, Any]]:
    """Return the resources whose condition holds, with Globals merged in and intrinsics resolved."""
    shared = document.section("Globals")
    resources = {}
    for name, resource in document.section("Resources").items():
        if not isinstance(resource, dict) or "Type" not in resource:
            raise document.error(name, "a resource needs a Type")
        kind, properties = str(resource["Type"]), resource.get("Properties") or {}
        if not isinstance(properties, dict):
            raise document.error(name, "Properties must be a mapping")
        with document.reading(name):
            if "Condition" in resource and not resolver.condition(resource["Condition"]):
                continue
            defaults = shared.get(kind.rsplit("::", 1)[-1]) if kind.startswith("AWS::Serverless::") else None
            merged = merge(defaults or {}, properties)
        with document.reading(name):
            resources[name] = {
                "Type": kind,
                "Properties": _resolved(kind, merged, resolver),
                "Metadata": resolver.resolve(resource.get("Metadata") or {}),
            }
    for name, kind in implicit_apis(resources).items():
        if name not in resources:
            with document.reading("Globals"):
                made = _resolved(kind, shared.get(kind.rsplit("::", 1)[-1]) or {}, resolver)
            resources[name] = {"Type": kind, "Properties": made, "Metadata": {}}
    return resources


def _resolved(kind: str, properties: dict[str, Any], resolver: Resolver) -> dict[str, Any]:
    """Resolve what the emulator reads; Layers are references to folders, which the reader of functions follows."""
    if kind not in _READ:
        return properties
    kept = {key: value for key, value in properties.items() if key not in _UNREAD}
    resolved = {key: resolver.resolve(value) for key, value in kept.items() if key != "Layers"}
    return {key: value for key, value in resolved.items() if value is not NO_VALUE} | (
        {"Layers": properties["Layers"]} if "Layers" in properties else {}
    )


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


def _unsupported(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    known = (*_NAMES_ONLY, *triggers.READ_TYPES, "AWS::Serverless::Function", "AWS::SQS::Queue")
    return [
        f"{document.path}:{document.lines.get(name, 1)}: {name}: {resource['Type']} is not emulated"
        for name, resource in resources.items()
        if not resource["Type"].startswith(known)
    ]


def _ignored(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{document.path}:{document.lines.get(name, 1)}: {name}: {key} is not emulated"
        for name, resource in resources.items()
        for key in _IGNORED.get(resource["Type"], ())
        if key in (document.section("Resources").get(name, {}).get("Properties") or {}) or key in resource["Properties"]
    ]


def _runtime_warning(specs: dict[str, FunctionSpec]) -> list[str]:
    host = f"python{sys.version_info.major}.{sys.version_info.minor}"
    other = sorted({spec.runtime for spec in specs.values()} - {host})
    return [f"the template says {', '.join(other)}; functions run under the host's {host}"] if other else []
