"""What the policies of template.yaml let each function do, and a rule by which DynamoDB for tests refuses all else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.emulator.template.document import read_document
from tests.dynamo_server import error

__all__ = ["FUNCTIONS", "RESOURCES", "Rights", "statements"]

RESOURCES: dict[str, dict[str, Any]] = read_document(Path(__file__).parents[1] / "template.yaml").content["Resources"]
FUNCTIONS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::Serverless::Function"}

#: The parts of a transaction, and the right that each of them needs.
_PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def statements(function: str) -> list[dict[str, Any]]:
    """Every statement that the function can get, conditional ones too."""
    found = []
    for listed in FUNCTIONS[function]["Policies"]:
        policy = _document(listed["Fn::If"][1] if "Fn::If" in listed else listed)
        assert set(policy) == {"Version", "Statement"}, "no policy templates: those give more"
        found += [one["Fn::If"][1] if "Fn::If" in one else one for one in policy["Statement"]]
    return found


def _document(policy: dict[str, Any]) -> dict[str, Any]:
    """The policy itself, where a function names one that it shares with others."""
    if set(policy) != {"Ref"}:
        return policy
    shared = RESOURCES[policy["Ref"]]
    assert shared["Type"] == "AWS::IAM::ManagedPolicy"
    document: dict[str, Any] = shared["Properties"]["PolicyDocument"]
    return document


class Rights:
    """The rights of one function over the tables of a test; `tables` maps each name to the template's resource.

    `refused` names each call that the function had no right to.
    """

    def __init__(self, function: str, tables: Mapping[str, str]) -> None:
        self._statements = statements(function)
        self._tables = tables
        self.refused: list[str] = []

    def rule(self, operation: str, parameters: dict[str, Any]) -> tuple[int, Any] | None:
        """Refuse as IAM does; see tests.dynamo_server.Rule."""
        for verb, table, index, keys in _needs(operation, parameters):
            if table in self._tables and not self.allow(
                f"dynamodb:{verb}", self._tables[table], index=index, keys=keys
            ):
                self.refused.append(f"{verb} {self._tables[table]} {index} {' '.join(keys)}")
                return error("AccessDeniedException")
        return None

    def allow(self, action: str, resource: str, *, index: str = "", keys: list[str] | None = None) -> bool:
        """Return whether some statement allows the action on the resource, or on its index, with these keys."""
        arn: Any = {"Fn::Sub": f"${{{resource}.Arn}}/index/*"} if index else {"Fn::GetAtt": [resource, "Arn"]}
        return any(
            action in one["Action"] and one["Resource"] == arn and _holds(one.get("Condition"), keys or [])
            for one in self._statements
        )


def _needs(operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, str, str, list[str]]]:
    """The rights that a call needs: verb, table, index and leading keys."""
    if operation in {"TransactWriteItems", "TransactGetItems"}:
        for item in parameters["TransactItems"]:
            ((kind, part),) = item.items()
            yield _PARTS.get(kind, "GetItem"), part["TableName"], "", [_leading(part)]
    elif operation in {"BatchGetItem", "BatchWriteItem"}:
        for table, asked in parameters["RequestItems"].items():
            yield operation, table, "", [str(one) for one in asked]
    else:
        keys = [_leading(parameters)] if {"Key", "Item"} & set(parameters) else []
        yield operation, parameters.get("TableName", ""), parameters.get("IndexName", ""), keys


def _leading(part: dict[str, Any]) -> str:
    return str(part.get("Key", part.get("Item", {}))["pk"]["S"])


def _holds(condition: dict[str, Any] | None, keys: list[str]) -> bool:
    if condition is None:
        return True
    assert set(condition) == {"ForAllValues:StringLike", "Null"}, "the test knows no other condition"
    patterns = [
        re.escape(one).replace(r"\*", ".*") for one in condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    ]
    return bool(keys) and all(any(re.fullmatch(pattern, key) for pattern in patterns) for key in keys)
