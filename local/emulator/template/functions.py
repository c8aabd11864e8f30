"""Functions and layers of a template."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from local.emulator.specs import FunctionSpec, NotHereError
from local.emulator.template.document import Document, mapping
from local.emulator.template.intrinsics import Resolver
from local.emulator.template.layers import searched_itself
from local.emulator.template.unresolved import reasons_in

#: Lambda's limit for the variables of one function, in bytes.
MAX_VARIABLES_BYTES = 4096
#: The least and greatest values, in seconds and MB.
_LIMITS = {"Timeout": (1, 900), "MemorySize": (128, 10_240)}
_KIND = "AWS::Serverless::Function"
_LAYER = "AWS::Serverless::LayerVersion"
#: Properties without whose values a function cannot run.
DECISIVE = ("PackageType", "Runtime", "Handler", "InlineCode", "CodeUri")


@dataclass(slots=True)
class Functions:
    """The functions of a template by their logical ids, and what is to be told of them."""

    specs: dict[str, FunctionSpec] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_functions(document: Document, resolver: Resolver, resources: dict[str, dict[str, Any]]) -> Functions:
    """Return every function of the template."""
    found = Functions()
    for name, resource in resources.items():
        if resource["Type"] == _KIND:
            with document.reading(name):
                reading = _Reading(document, resolver, resources, name)
                found.specs[name] = reading.spec()
                # Of a function that is not run, that alone is of interest.
                told = () if found.specs[name].problem else reading.warnings
                found.warnings += [document.told(name, text) for text in told]
    return found


class _Reading:
    """Reads one function, and collects what is to be told of it."""

    def __init__(self, document: Document, resolver: Resolver, resources: dict[str, dict[str, Any]], name: str) -> None:
        self._document, self._resolver, self._resources, self._name = document, resolver, resources, name
        self._properties: dict[str, Any] = resources[name]["Properties"]
        self.warnings: list[str] = []
        #: Layers whose folders are sources, which a build would copy.
        self._sources: set[Path] = set()

    def spec(self) -> FunctionSpec:
        """Return the function; what keeps it from running here is its problem, and no error."""
        properties, metadata = self._properties, self._resources[self._name]["Metadata"]
        logging = mapping(properties.get("LoggingConfig"), "LoggingConfig")
        reserved, limit = properties.get("ReservedConcurrentExecutions"), metadata.get("EmulatorMaxEnvironments")
        spec = FunctionSpec(
            name=self._name,
            handler=str(properties.get("Handler", "")),
            code=self._declared_code(),
            runtime=str(properties.get("Runtime", "python3.13")),
            timeout=self._number("Timeout", 3),
            memory=int(self._number("MemorySize", 128)),
            reserved_concurrency=None if reserved is None else int(reserved),
            max_environments=None if limit is None else int(limit),
            log_format=str(logging.get("LogFormat", "Text")),
            log_level=logging.get("ApplicationLogLevel"),
            physical_name=self._resolver.physical_name(self._name),
            line=self._document.lines.get(self._name, 1),
        )
        try:
            self._check_kind()
            inline = properties.get("InlineCode")
            layers = self._layers()
            return replace(
                spec,
                code=spec.code if inline is not None else self._source(properties.get("CodeUri", "."), "CodeUri"),
                inline=None if inline is None else str(inline),
                layers=layers,
                sources=frozenset(self._sources),
                variables=self._variables(),
            )
        except NotHereError as error:
            return replace(spec, problem=str(error))

    def _declared_code(self) -> Path:
        """Return where the code should be, whether it is or not: the template itself, if no folder here is named."""
        uri, is_image = self._properties.get("CodeUri", "."), self._properties.get("PackageType") == "Image"
        if is_image or "InlineCode" in self._properties or _is_elsewhere(uri):
            return self._document.path
        return (self._document.path.parent / str(uri)).resolve()

    def _check_kind(self) -> None:
        """Raise unless the function is Python code with a handler."""
        for key in DECISIVE:
            for reason in reasons_in(self._properties.get(key)):
                raise NotHereError(f"its {key} is not known: {reason}")
        if self._properties.get("PackageType") == "Image":
            raise NotHereError(
                "it is an image; --functions-at URL invokes functions that run elsewhere (sam local start-lambda)"
            )
        if "Handler" not in self._properties:
            raise NotHereError("its Handler is missing")
        runtime = str(self._properties.get("Runtime", "python"))
        if not runtime.startswith("python"):
            raise NotHereError(f"its runtime is {runtime}, and only Python is run")

    def _number(self, key: str, default: int) -> float:
        least, most = _LIMITS[key]
        try:
            number = float(self._properties.get(key, default))
        except (TypeError, ValueError):
            raise self._document.error(self._name, f"{key} must be a number") from None
        if not least <= number <= most:
            raise self._document.error(self._name, f"{key} must lie between {least} and {most}")
        return number

    def _variables(self) -> dict[str, str]:
        environment = mapping(self._properties.get("Environment"), "Environment")
        given = mapping(environment.get("Variables"), "Environment.Variables")
        variables = {key: self._text(key, value) for key, value in given.items()}
        size = sum(len(key.encode()) + len(value.encode()) for key, value in variables.items())
        if size > MAX_VARIABLES_BYTES:
            text = f"environment variables take {size} bytes, Lambda allows {MAX_VARIABLES_BYTES}"
            raise self._document.error(self._name, text)
        return variables

    def _text(self, key: str, value: Any) -> str:
        for reason in reasons_in(value):
            raise NotHereError(f"the variable {key} is not known: {reason}; give it a value with --env-vars")
        if value is None or isinstance(value, dict | list):
            self.warnings.append(f"variable {key} is no text, which AWS refuses: it is empty here")
            return ""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "{{resolve:" in text:
            self.warnings.append(f"variable {key}: {text} is not looked up; give it a value with --env-vars")
        return text

    def _layers(self) -> tuple[Path, ...]:
        given = self._properties.get("Layers") or []
        own = {self._resolver.resolve({"Ref": name}): name for name in self._resources if self._is_layer(name)}
        folders = []
        for layer in given if isinstance(given, list) else [given]:
            if reasons := reasons_in(layer):
                self.warnings.append(f"a layer is left out: {reasons[0]}; give its packages with --packages FOLDER")
            elif isinstance(layer, str) and layer in own:
                folders += self._own_layer(own[layer])
            elif str(layer).startswith("arn:"):
                self.warnings.append(f"layer {layer} is not fetched; give its packages with --packages FOLDER")
            else:
                raise self._document.error(self._name, f"layer {layer} is not a LayerVersion of this template")
        if len(folders) > 5:
            raise self._document.error(self._name, "Lambda allows five layers")
        return tuple(folders)

    def _is_layer(self, name: str) -> bool:
        return str(self._resources[name]["Type"]) == _LAYER

    def _own_layer(self, name: str) -> list[Path]:
        uri = self._resources[name]["Properties"].get("ContentUri", ".")
        if _is_elsewhere(uri) and not reasons_in(uri):
            self.warnings.append(f"layer {name} is in {uri} and not fetched; give its packages with --packages FOLDER")
            return []
        folder = self._source(uri, f"the ContentUri of its layer {name}")
        if searched_itself(self._resources[name], folder):
            self._sources.add(folder)
        return [folder]

    def _source(self, uri: Any, key: str) -> Path:
        """Return the folder or the archive that a property names."""
        for reason in reasons_in(uri):
            raise NotHereError(f"{key} is not known: {reason}")
        if _is_elsewhere(uri):
            raise NotHereError(f"{key} is {uri}: give the folder on this machine that holds the code")
        path = (self._document.path.parent / str(uri)).resolve()
        if path.is_dir() or zipfile.is_zipfile(path):
            return path
        if path.exists():
            raise NotHereError(f"{key} {uri} is a file: give its folder, or an archive of it (.zip)")
        raise NotHereError(
            f"there is no folder {uri} beside the template; if sam build makes it, give .aws-sam/build/template.yaml"
        )


def _is_elsewhere(uri: Any) -> bool:
    return not isinstance(uri, str) or "://" in uri
