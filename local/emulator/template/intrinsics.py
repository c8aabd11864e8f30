"""Intrinsic functions of CloudFormation, resolved to what the emulator's resources are."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.emulator.specs import ACCOUNT_ID, IMPLICIT_APIS, NotHereError, Place, TemplateError
from local.emulator.template.document import Document, mapping
from local.emulator.template.names import arn_of, generated
from local.emulator.template.unresolved import Unresolved

#: What `!Ref AWS::NoValue` becomes: the property is left out.
NO_VALUE = object()

_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")
_ELSEWHERE = {
    "Fn::ImportValue": "exports of other stacks are not here",
    "Fn::Transform": "macros are not carried out here",
    "Fn::Cidr": "networks are not emulated",
}


class Resolver:
    """Resolves values of one document with its parameters and the emulator's place."""

    def __init__(self, document: Document, place: Place, overrides: Mapping[str, str] | None = None) -> None:
        self._document = document
        self._resources = document.section("Resources")
        self._conditions = document.section("Conditions")
        self._place = place
        #: Parameters without a value, and those of them that became an empty text.
        self._unset: set[str] = set()
        self.emptied: set[str] = set()
        #: Parameters whose value is another parameter's name in SSM, and those of them that were used.
        self._lookups: set[str] = set()
        self.not_looked_up: set[str] = set()
        #: Resources whose name is not known, so that their id has to do, and why.
        self.unnamed: dict[str, str] = {}
        self._empty_for_unset = False
        #: Conditions and names that are being resolved, to recognise a circle.
        self._open: list[str] = []
        self._names = {**self._pseudo(), **self._parameters(overrides or {})}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref, "Condition": self.condition,
            "Fn::GetAtt": self._get_att, "Fn::Sub": self._sub, "Fn::If": self._if, "Fn::Join": self._join,
            "Fn::Equals": self._equals, "Fn::Not": lambda v: not self._truth(v[0]),
            "Fn::And": lambda v: all(self._truth(item) for item in v),
            "Fn::Or": lambda v: any(self._truth(item) for item in v),
            "Fn::Select": self._select, "Fn::Split": self._split, "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda v: base64.b64encode(str(self.resolve(v)).encode()).decode(),
            "Fn::GetAZs": lambda v: [f"{self.resolve(v) or place.region}{zone}" for zone in "abc"],
            "Fn::ToJsonString": lambda v: json.dumps(self.resolve(v), separators=(",", ":")),
            "Fn::Length": lambda v: len(self.resolve(v)),
        }  # fmt: skip

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function replaced.

        Raises:
            NotHereError: a function, parameter, resource or attribute whose value cannot be known here.
            TemplateError: conditions or names that refer to each other in a circle, or an unknown condition.
        """
        if isinstance(value, dict):
            if (name := _intrinsic(value)) is not None:
                return self._applied(name, value[name])
            pairs = ((key, self.resolve(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        return value

    def resolve_parts(self, value: Any) -> Any:
        """Resolve as far as possible: what cannot be known is `Unresolved`, and the rest of the value stands."""
        if isinstance(value, dict) and (name := _intrinsic(value)) is not None:
            try:
                if name == "Fn::If":
                    return self.resolve_parts(_formed(name, self._chosen, value[name]))
                return self._applied(name, value[name])
            except NotHereError as error:
                return Unresolved(str(error))
        if isinstance(value, dict):
            pairs = ((key, self.resolve_parts(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve_parts, value) if item is not NO_VALUE]
        return value

    def resolve_texts(self, value: Any) -> Any:
        """As `resolve_parts`, but a parameter without a value is an empty text, as for `sam local`."""
        with self._empties():
            return self.resolve_parts(value)

    def condition(self, name: str) -> bool:
        """Return whether a condition of the template holds."""
        if name not in self._conditions:
            raise TemplateError(f"unknown condition {name}")
        with self._within("condition", name), self._empties():
            return self._truth(self._conditions[name])

    @contextlib.contextmanager
    def _empties(self) -> Iterator[None]:
        before, self._empty_for_unset = self._empty_for_unset, True
        try:
            yield
        finally:
            self._empty_for_unset = before

    @contextlib.contextmanager
    def _within(self, what: str, name: str) -> Iterator[None]:
        """Refuse a condition or a name that needs itself."""
        entry = f"{what} {name}"
        if entry in self._open:
            circle = " -> ".join([*self._open[self._open.index(entry) :], entry])
            raise self._document.error(name, f"{circle} is a circle: take one of the references out")
        self._open.append(entry)
        try:
            yield
        finally:
            self._open.pop()

    def _applied(self, name: str, argument: Any) -> Any:
        if name not in self._functions:
            reason = _ELSEWHERE.get(name, "it is not supported")
            raise NotHereError(f"{name}{_named(argument)}: {reason}")
        return _formed(name, self._functions[name], argument)

    def _truth(self, value: Any) -> bool:
        return bool(self.resolve(value))

    def _pseudo(self) -> dict[str, Any]:
        return {
            "AWS::Region": self._place.region, "AWS::AccountId": ACCOUNT_ID, "AWS::Partition": "aws",
            "AWS::StackName": self._document.path.stem, "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE, "AWS::NotificationARNs": [],
            "AWS::StackId": self._place.arn("cloudformation", f"stack/{self._document.path.stem}/local"),
        }  # fmt: skip

    def _parameters(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        declared = self._document.section("Parameters")
        unknown = sorted(set(overrides) - set(declared))
        if unknown:
            known = f"it has {', '.join(sorted(declared))}" if declared else "it has none"
            raise TemplateError(f"{self._document.path}: no parameter named {', '.join(unknown)}; {known}")
        values = {}
        for name, given in declared.items():
            parameter = mapping(given, f"parameter {name}")
            value = overrides.get(name, parameter.get("Default"))
            if value is None:
                self._unset.add(name)
                value = ""
            if str(parameter.get("Type")).startswith("AWS::SSM::") and name not in overrides:
                self._lookups.add(name)
            split = "List" in str(parameter.get("Type"))
            values[name] = [item.strip() for item in str(value).split(",")] if split else value
        return values

    def _ref(self, name: str) -> Any:
        if name in self._unset:
            if not self._empty_for_unset:
                raise NotHereError(f"parameter {name} has no value: give --parameter {name}=VALUE")
            self.emptied.add(name)
        if name in self._lookups:
            self.not_looked_up.add(name)
        if name in self._names:
            return self._names[name]
        kind = self._resource(name).get("Type")
        if kind == "AWS::SQS::Queue":
            return f"{self._place.queue_url}/{ACCOUNT_ID}/{self.physical_name(name)}"
        if kind == "AWS::Serverless::LayerVersion":  # with the id, because two layers may have one name
            return f"{arn_of(self._place, kind, name)}:1"
        if kind in {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}:
            return self._get_att([name, "Arn"])
        return self.physical_name(name)

    def physical_name(self, logical_id: str) -> str:
        """Return the name of a resource outside of the template."""
        resource = self._resource(logical_id)
        if resource.get("Type") in IMPLICIT_APIS.values():  # its Name is a title, and no id
            return logical_id
        properties = mapping(resource.get("Properties"), "Properties")
        kind = str(resource.get("Type")).rsplit("::", 1)[-1]
        given = properties.get("TableName" if kind == "SimpleTable" else f"{kind}Name", properties.get("Name"))
        with self._within("name of", logical_id):
            if given is not None:
                try:
                    return str(self.resolve(given))
                except NotHereError as error:
                    self.unnamed[logical_id] = str(error)
            fifo = kind == "Queue" and str(self.resolve_texts(properties.get("FifoQueue", ""))).lower() == "true"
        if kind == "Bucket":  # the names of buckets have no capitals
            return logical_id.lower()
        return f"{logical_id}.fifo" if fifo else logical_id

    def _resource(self, name: str) -> dict[str, Any]:
        resource = self._resources.get(name)
        found = resource if isinstance(resource, dict) else generated(str(name), self._resources)
        if found is None:
            raise NotHereError(f"unknown parameter or resource {name}")
        return found

    def _get_att(self, argument: Any) -> Any:
        parts = [self.resolve(part) for part in argument] if isinstance(argument, list) else argument.split(".", 1)
        name, attribute = parts[0], ".".join(parts[1:])
        resource = self._resource(name)
        kind = str(resource.get("Type"))
        if attribute.startswith("Outputs."):
            raise NotHereError(f"{name}.{attribute}: nested stacks are not here")
        physical = self.physical_name(name)
        if attribute == "QueueUrl":
            return self._ref(name)
        if attribute.endswith("Name"):
            return physical
        if attribute in {"Arn", "QueueArn", "TopicArn"}:
            return arn_of(self._place, kind, physical)
        if attribute == "ApiEndpoint":
            return f"https://{physical}.execute-api.{self._place.region}.amazonaws.com"
        return f"{physical}.{attribute}"

    def _sub(self, argument: Any) -> str:
        text, extra = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in extra:
                return str(self.resolve(extra[name]))
            return str(self._get_att(name.strip()) if "." in name else self._ref(name.strip()))

        return _VARIABLE.sub(replace, text)

    def _chosen(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return then if self.condition(condition) else otherwise

    def _if(self, argument: list[Any]) -> Any:
        return self.resolve(self._chosen(argument))

    def _equals(self, argument: list[Any]) -> bool:
        left, right = (_text(self.resolve(item)) for item in argument)
        return left == right

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(str(item) for item in self.resolve(argument[1]))

    def _select(self, argument: list[Any]) -> Any:
        return self.resolve(argument[1])[int(self.resolve(argument[0]))]

    def _split(self, argument: list[Any]) -> list[str]:
        return str(self.resolve(argument[1])).split(argument[0])

    def _find_in_map(self, argument: list[Any]) -> Any:
        name, first, second = (str(self.resolve(item)) for item in argument[:3])
        rows = {str(key): row for key, row in mapping(self._document.section("Mappings").get(name), name).items()}
        row = {str(key): value for key, value in mapping(rows.get(first), f"{name}.{first}").items()}
        if second in row:
            return self.resolve(row[second])
        if len(argument) > 3 and "DefaultValue" in argument[3]:
            return self.resolve(argument[3]["DefaultValue"])
        raise NotHereError(f"no mapping {name}.{first}.{second}")


def _intrinsic(value: dict[Any, Any]) -> str | None:
    """Return which intrinsic function a mapping is, if any."""
    if len(value) != 1:
        return None
    name = next(iter(value))
    return name if isinstance(name, str) and (name in {"Ref", "Condition"} or name.startswith("Fn::")) else None


def _formed(name: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """Apply an intrinsic function; an argument of another form than it takes is as bad as an unknown one."""
    try:
        return function(argument)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise NotHereError(f"{name} has an unexpected form: {error}") from error


def _named(argument: Any) -> str:
    return f" {argument}" if isinstance(argument, str) else ""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
