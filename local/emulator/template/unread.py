"""What a template declares that has no effect here: resources, properties of resources, and properties of events."""

from __future__ import annotations

from typing import Any

from local.emulator.template.document import Document
from local.emulator.template.triggers import READ_TYPES

#: Resources that need nothing from the emulator: functions only use their names, or never notice them.
_NAMES_ONLY = (
    "AWS::Serverless::LayerVersion", "AWS::Serverless::HttpApi", "AWS::Serverless::Api",
    "AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlanKey", "AWS::DynamoDB::Table",
    "AWS::Serverless::SimpleTable", "AWS::IAM::", "AWS::Logs::", "AWS::CloudWatch::", "AWS::SQS::QueuePolicy",
    "AWS::KMS::", "AWS::SSM::", "AWS::SecretsManager::", "AWS::Lambda::Permission", "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy", "AWS::ResourceGroups::", "AWS::ApplicationInsights::", "AWS::Route53::",
    "AWS::CertificateManager::", "AWS::EC2::", "AWS::WAFv2::", "AWS::CloudFront::", "AWS::Budgets::", "AWS::XRay::",
)  # fmt: skip

_NOTHING_MORE = "is not emulated"
#: Properties that change what a caller or a function sees on AWS, but have no effect here.
_IGNORED = {
    "AWS::Serverless::Function": {
        "EventInvokeConfig": _NOTHING_MORE, "DeadLetterQueue": _NOTHING_MORE,
        "SnapStart": _NOTHING_MORE, "ProvisionedConcurrencyConfig": _NOTHING_MORE, "EphemeralStorage": _NOTHING_MORE,
        "FileSystemConfigs": _NOTHING_MORE, "ImageConfig": _NOTHING_MORE, "VpcConfig": _NOTHING_MORE,
        "AutoPublishAlias": "is not emulated: there are no versions, and the alias is the function itself",
        "DurableConfig": "is not emulated: calls of the durable execution SDK fail",
        "TenancyConfig": "is not emulated: environments are not kept apart by tenant",
        "CapacityProviderConfig": _NOTHING_MORE,
    },
    "AWS::Serverless::HttpApi": {
        "Domain": _NOTHING_MORE, "DefaultRouteSettings": _NOTHING_MORE, "RouteSettings": _NOTHING_MORE,
        "DefinitionUri": _NOTHING_MORE,
    },
    "AWS::Serverless::Api": {
        "Domain": _NOTHING_MORE, "DefinitionUri": _NOTHING_MORE,
        "GatewayResponses": _NOTHING_MORE, "Models": _NOTHING_MORE, "MinimumCompressionSize": _NOTHING_MORE,
        "CacheClusterEnabled": _NOTHING_MORE, "CanarySetting": _NOTHING_MORE, "MethodSettings": _NOTHING_MORE,
    },
    "AWS::SQS::Queue": {"RedriveAllowPolicy": _NOTHING_MORE, "KmsMasterKeyId": _NOTHING_MORE},
}  # fmt: skip

#: The properties of each kind of event that are read, and those without which nothing looks different here.
_READ_OF_EVENTS = {
    "HttpApi": {"ApiId", "Path", "Method", "Auth", "TimeoutInMillis", "PayloadFormatVersion"},
    "Api": {"RestApiId", "Path", "Method", "Auth", "TimeoutInMillis"},
    "SQS": {"Queue", "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig",
            "Enabled", "FilterCriteria"},
    "Schedule": {"Schedule", "Input", "Name", "Enabled", "State"},
    "ScheduleV2": {"ScheduleExpression", "Input", "Name", "State"},
    "SNS": {"Topic", "FilterPolicy", "FilterPolicyScope", "SqsSubscription"},
    "S3": {"Bucket", "Events", "Filter"},
}  # fmt: skip
_QUIET_OF_EVENTS = {
    "Description", "RoleArn", "PermissionsBoundary", "KmsKeyArn", "MetricsConfig", "GroupName", "OmitName",
}  # fmt: skip
#: Values of properties that change nothing.
_QUIET_VALUES: dict[str, Any] = {"FlexibleTimeWindow": {"Mode": "OFF"}}


def unread(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each resource and each property of one that has no effect here."""
    return [*_resources(document, resources), *_properties(document, resources)]


def _resources(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    known = (*_NAMES_ONLY, *READ_TYPES, "AWS::Serverless::Function", "AWS::SQS::Queue")
    return [
        document.told(name, f"{resource['Type']} is not emulated")
        for name, resource in resources.items()
        if not resource["Type"].startswith(known)
    ]


def _properties(document: Document, resources: dict[str, dict[str, Any]]) -> list[str]:
    return [
        document.told(name, f"{key} {text}")
        for name, resource in resources.items()
        for key, text in _IGNORED.get(resource["Type"], {}).items()
        if key in (document.section("Resources").get(name, {}).get("Properties") or {}) or key in resource["Properties"]
    ]


def unread_of_event(kind: str, properties: dict[str, Any]) -> list[str]:
    """Return the names of an event's properties that are not read."""
    if kind not in _READ_OF_EVENTS:  # nothing of the event is served, which is told
        return []
    read = _READ_OF_EVENTS[kind] | _QUIET_OF_EVENTS
    return [key for key, value in properties.items() if key not in read and value != _QUIET_VALUES.get(key, _QUIET)]


#: Equals no value of a template.
_QUIET = object()
