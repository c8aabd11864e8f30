"""The tables, buckets, parameters, secrets and streams of a template, as moto makes them."""

from __future__ import annotations

from typing import Any

from local.emulator.specs import StoreSpec, TemplateError
from local.emulator.template.document import Document
from local.emulator.template.intrinsics import Resolver
from local.emulator.template.unresolved import reasons_in

__all__ = ["read_stores"]

#: The property that is the name of each type.
_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::Kinesis::Stream": "Name",
}
_SIMPLE_TABLE = "AWS::Serverless::SimpleTable"
_TYPES = {"String": "S", "Number": "N", "Binary": "B"}
#: Properties that only AWS needs, and those that other parts of the emulator serve.
_LEFT_OUT = {
    "NotificationConfiguration", "SSESpecification", "KmsKeyId", "ReplicationConfiguration", "BucketEncryption",
    "LoggingConfiguration", "ReplicaRegions", "DeletionProtectionEnabled", "PointInTimeRecoverySpecification",
    "ContributorInsightsSpecification", "WarmThroughput", "ResourcePolicy",
}  # fmt: skip


def read_stores(document: Document, resources: dict[str, dict[str, Any]], resolver: Resolver) -> tuple[StoreSpec, ...]:
    """Return what can be made beside the functions; each has the name by which functions know it."""
    stores = []
    for name, resource in resources.items():
        kind = resource["Type"]
        if kind != _SIMPLE_TABLE and kind not in _NAMES:
            continue
        try:
            with document.reading(name):
                properties = resolver.resolve(resource["Properties"])
                stores.append(_store(name, kind, properties, resolver.physical_name(name)))
        except TemplateError as error:
            stores.append(StoreSpec(name, kind, {}, problem=str(error)))
    return tuple(stores)


def _store(logical_id: str, kind: str, properties: dict[str, Any], name: str) -> StoreSpec:
    if kind == _SIMPLE_TABLE:
        kind, properties = "AWS::DynamoDB::Table", _simple_table(properties)
    kept = {key: value for key, value in properties.items() if key not in _LEFT_OUT}
    reasons = reasons_in(kept)
    return StoreSpec(logical_id, kind, {**kept, _NAMES[kind]: name}, problem="; ".join(reasons))


def _simple_table(properties: dict[str, Any]) -> dict[str, Any]:
    key = properties.get("PrimaryKey") or {"Name": "id", "Type": "String"}
    return {
        "AttributeDefinitions": [{"AttributeName": key["Name"], "AttributeType": _TYPES[key["Type"]]}],
        "KeySchema": [{"AttributeName": key["Name"], "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
