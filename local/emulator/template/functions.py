"""Functions and layers of a template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from local.emulator.specs import FunctionSpec, NotHereError
from local.emulator.template.document import Document, mapping
from local.emulator.template.intrinsics import Resolver

#: Lambda's limit for the variables of one function, in bytes.
MAX_VARIABLES_BYTES = 4096
#: The least and greatest values, in seconds and MB.
_LIMITS = {"Timeout": (1, 900), "MemorySize": (128, 10_240)}
_KIND = "AWS::Serverless::Function"
_LAYER = "AWS::Serverless::LayerVersion"


def read_functions(
    document: Document, resolver: Resolver, resources: dict[str, dict[str, Any]]
) -> dict[str, FunctionSpec]:
    """Return every function of the template by its logical id."""
    specs = {}
    for name, resource in resources.items():
        if resource["Type"] == _KIND:
            with document.reading(name):
                specs[name] = _read(document, resolver, resources, name)
    return specs


def _read(document: Document, resolver: Resolver, resources: dict[str, dict[str, Any]], name: str) -> FunctionSpec:
    """Return a function; what keeps it from running here is its problem, and no error."""
    properties, metadata = resources[name]["Properties"], resources[name]["Metadata"]
    logging = mapping(properties.get("LoggingConfig"), "LoggingConfig")
    reserved, limit = properties.get("ReservedConcurrentExecutions"), metadata.get("EmulatorMaxEnvironments")
    spec = FunctionSpec(
        name=name,
        handler=str(properties.get("Handler", "")),
        code=document.path.parent,
        runtime=str(properties.get("Runtime", "python3.13")),
        timeout=_number(document, name, "Timeout", properties.get("Timeout", 3)),
        memory=int(_number(document, name, "MemorySize", properties.get("MemorySize", 128))),
        variables=_variables(document, name, properties),
        reserved_concurrency=None if reserved is None else int(reserved),
        max_environments=None if limit is None else int(limit),
        log_format=str(logging.get("LogFormat", "Text")),
        log_level=logging.get("ApplicationLogLevel"),
        physical_name=resolver.physical_name(name),
        line=document.lines.get(name, 1),
    )
    try:
        _check_kind(document, name, properties)
        code = _folder(document, properties.get("CodeUri", "."))
        return replace(spec, code=code, layers=_layers(document, resolver, resources, name))
    except NotHereError as error:
        return replace(spec, problem=str(error))


def _check_kind(document: Document, name: str, properties: dict[str, Any]) -> None:
    """Raise unless the function is Python code with a handler."""
    if properties.get("PackageType") == "Image":
        raise NotHereError("images are not run; --functions-at URL invokes the functions of a project elsewhere")
    if "Handler" not in properties:
        raise document.error(name, "Handler is missing")
    runtime = str(properties.get("Runtime", "python"))
    if not runtime.startswith("python"):
        raise NotHereError(f"its runtime is {runtime}, and only Python is run")


def _folder(document: Document, uri: Any) -> Path:
    if not isinstance(uri, str) or "://" in uri:
        raise NotHereError(f"its code is in {uri}; CodeUri and ContentUri must be folders on this machine")
    folder = (document.path.parent / uri).resolve()
    if not folder.is_dir():
        raise NotHereError(f"there is no folder {uri} beside the template")
    return folder


def _number(document: Document, name: str, key: str, value: Any) -> float:
    least, most = _LIMITS[key]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise document.error(name, f"{key} must be a number") from None
    if not least <= number <= most:
        raise document.error(name, f"{key} must lie between {least} and {most}")
    return number


def _variables(document: Document, name: str, properties: dict[str, Any]) -> dict[str, str]:
    given = (properties.get("Environment") or {}).get("Variables") or {}
    variables = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in variables.items())
    if size > MAX_VARIABLES_BYTES:
        raise document.error(name, f"environment variables take {size} bytes, Lambda allows {MAX_VARIABLES_BYTES}")
    return variables


def _layers(
    document: Document, resolver: Resolver, resources: dict[str, dict[str, Any]], name: str
) -> tuple[Path, ...]:
    folders = []
    for layer in resources[name]["Properties"].get("Layers") or []:
        logical = layer.get("Ref") if isinstance(layer, dict) else None
        if logical is None and str(resolver.resolve(layer)).startswith("arn:"):
            continue  # a layer of someone else: `foreign_layers` warns of it
        if logical not in resources or resources[logical]["Type"] != _LAYER:
            raise document.error(name, f"layer {resolver.resolve(layer)} is not a LayerVersion of this template")
        folders.append(_folder(document, resources[logical]["Properties"].get("ContentUri", ".")))
    if len(folders) > 5:
        raise document.error(name, "Lambda allows five layers")
    return tuple(folders)


def foreign_layers(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    """Return a warning for each layer that is an ARN: its packages must be installed beside the emulator."""
    return [
        f"{document.path}:{document.lines.get(name, 1)}: {name}: layer {layer} is not fetched; install what it holds"
        for name, resource in resources.items()
        if resource["Type"] == _KIND
        for layer in resource["Properties"].get("Layers") or []
        if "arn:" in str(layer)
    ]
