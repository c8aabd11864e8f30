"""Intrinsic functions of CloudFormation, resolved to what the emulator's resources are."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from local.emulator.specs import ACCOUNT_ID, IMPLICIT_APIS, Place, TemplateError
from local.emulator.template.document import Document

#: What `!Ref AWS::NoValue` becomes: the property is left out.
NO_VALUE = object()

_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")


class Resolver:
    """Resolves values of one document with its parameters and the emulator's place."""

    def __init__(self, document: Document, place: Place, overrides: Mapping[str, str] | None = None) -> None:
        self._document = document
        self._resources = document.section("Resources")
        self._conditions = document.section("Conditions")
        self._place = place
        self._names = {**self._pseudo(), **self._parameters(overrides or {})}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref, "Condition": self.condition,
            "Fn::GetAtt": self._get_att, "Fn::Sub": self._sub, "Fn::If": self._if, "Fn::Join": self._join,
            "Fn::Equals": self._equals, "Fn::Not": lambda v: not self._truth(v[0]),
            "Fn::And": lambda v: all(self._truth(item) for item in v),
            "Fn::Or": lambda v: any(self._truth(item) for item in v),
            "Fn::Select": self._select, "Fn::Split": self._split, "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda v: base64.b64encode(str(self.resolve(v)).encode()).decode(),
        }  # fmt: skip

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function replaced.

        Raises:
            TemplateError: an unknown function, parameter, resource or attribute.
        """
        if isinstance(value, dict):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name in self._functions:
                    return self._functions[name](argument)
                if isinstance(name, str) and name.startswith("Fn::"):
                    raise TemplateError(f"{name} is not supported")
            pairs = ((key, self.resolve(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        return value

    def condition(self, name: str) -> bool:
        """Return whether a condition of the template holds."""
        if name not in self._conditions:
            raise TemplateError(f"unknown condition {name}")
        return self._truth(self._conditions[name])

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
            raise TemplateError(f"{self._document.path}: no parameter named {', '.join(unknown)}")
        values = {}
        for name, parameter in declared.items():
            value = overrides.get(name, (parameter or {}).get("Default", ""))
            values[name] = value.split(",") if "List" in str((parameter or {}).get("Type")) else value
        return values

    def _ref(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        resource = self._resource(name)
        if resource.get("Type") == "AWS::SQS::Queue":
            return f"{self._place.queue_url}/{ACCOUNT_ID}/{self.physical_name(name)}"
        if resource.get("Type") in IMPLICIT_APIS.values():
            return name  # its id, whatever its Name says
        if resource.get("Type") in {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}:
            return self._get_att([name, "Arn"])
        return self.physical_name(name)

    def physical_name(self, logical_id: str) -> str:
        """Return the name of a resource outside of the template."""
        resource = self._resource(logical_id)
        properties = resource.get("Properties") or {}
        kind = str(resource.get("Type")).rsplit("::", 1)[-1]
        keys = ("QueueName", "TableName", "FunctionName", "BucketName", "TopicName", "LayerName", "Name")
        for key in keys:
            if key in properties and (key.startswith(kind) or key in {"TableName", "Name"}):
                return str(self.resolve(properties[key]))
        fifo = kind == "Queue" and str(self.resolve(properties.get("FifoQueue", ""))).lower() == "true"
        if kind == "Bucket":  # the names of buckets have no capitals
            return logical_id.lower()
        return f"{logical_id}.fifo" if fifo else logical_id

    def _resource(self, name: str) -> dict[str, Any]:
        resource = self._resources.get(name)
        if isinstance(resource, dict):
            return resource
        if name in IMPLICIT_APIS:
            return {"Type": IMPLICIT_APIS[name]}
        # What SAM makes for a function with an alias. Here there is one version, and nothing looks at it.
        function, _, made = str(name).partition(".")
        if made in {"Version", "Alias"} and function in self._resources:
            return {"Type": f"AWS::Lambda::{made}"}
        raise TemplateError(f"unknown parameter or resource {name}")

    def _get_att(self, argument: Any) -> Any:
        name, attribute = argument if isinstance(argument, list) else str(argument).split(".", 1)
        resource = self._resource(name)
        physical, kind = self.physical_name(name), str(resource.get("Type"))
        if attribute in {"QueueUrl"}:
            return self._ref(name)
        if attribute.endswith("Name"):
            return physical
        if attribute == "Arn" and kind == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{physical}"
        if attribute == "Arn":
            return self._place.arn(*_arn_parts(kind, physical))
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
            return str(self._get_att(name) if "." in name else self._ref(name.strip()))

        return _VARIABLE.sub(replace, text)

    def _if(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self.condition(condition) else otherwise)

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
        try:
            return self._document.section("Mappings")[name][first][second]
        except KeyError as error:
            raise TemplateError(f"no mapping {name}.{first}.{second}") from error


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _arn_parts(kind: str, physical: str) -> tuple[str, str]:
    if kind == "AWS::SQS::Queue":
        return "sqs", physical
    if kind in {"AWS::Serverless::Function", "AWS::Lambda::Function"}:
        return "lambda", f"function:{physical}"
    if kind in {"AWS::DynamoDB::Table", "AWS::Serverless::SimpleTable"}:
        return "dynamodb", f"table/{physical}"
    if kind == "AWS::IAM::Role":
        return "iam", f"role/{physical}"
    if kind == "AWS::SecretsManager::Secret":
        return "secretsmanager", f"secret:{physical}"
    return kind.split("::")[1].lower() if "::" in kind else "aws", physical
