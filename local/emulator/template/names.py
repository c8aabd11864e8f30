"""What resources are called on AWS: the ids that SAM generates, physical names, and ARNs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.emulator.specs import ACCOUNT_ID, IMPLICIT_APIS, Place

#: How SAM's own ids end that it makes of a function's id, and what they stand for.
_OF_FUNCTIONS = {
    "Role": "AWS::IAM::Role",
    "Url": "AWS::Lambda::Url",
    ".Version": "AWS::Lambda::Version",
    ".Alias": "AWS::Lambda::Alias",
    ".DestinationQueue": "AWS::SQS::Queue",
    ".DestinationTopic": "AWS::SNS::Topic",
}
#: The same for APIs.
_OF_APIS = {
    ".Stage": "AWS::ApiGateway::Stage",
    ".Deployment": "AWS::ApiGateway::Deployment",
    ".DomainName": "AWS::ApiGateway::DomainName",
    "ApiGatewayDefaultStage": "AWS::ApiGatewayV2::Stage",
    "ProdStage": "AWS::ApiGateway::Stage",
}
_FUNCTIONS = ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")
_STAGES = {"AWS::ApiGateway::Stage": "Prod", "AWS::ApiGatewayV2::Stage": "$default"}

#: Service and beginning of the resource in the ARN of each kind.
_ARNS = {
    "AWS::SQS::Queue": ("sqs", ""),
    "AWS::SNS::Topic": ("sns", ""),
    "AWS::Serverless::Function": ("lambda", "function:"),
    "AWS::Lambda::Function": ("lambda", "function:"),
    "AWS::Serverless::LayerVersion": ("lambda", "layer:"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::Serverless::SimpleTable": ("dynamodb", "table/"),
    "AWS::Events::Rule": ("events", "rule/"),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::Kinesis::Stream": ("kinesis", "stream/"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::Serverless::StateMachine": ("states", "stateMachine:"),
    "AWS::StepFunctions::StateMachine": ("states", "stateMachine:"),
    "AWS::Cognito::UserPool": ("cognito-idp", "userpool/"),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:"),
}
#: Kinds whose ARNs have no region, and for buckets no account.
_GLOBAL = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT_ID}:role/",
    "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT_ID}:policy/",
    "AWS::S3::Bucket": "arn:aws:s3:::",
}


def generated(name: str, resources: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource that SAM makes under this id, or None."""
    if name in IMPLICIT_APIS:
        return {"Type": IMPLICIT_APIS[name]}
    for endings, kinds in ((_OF_FUNCTIONS, _FUNCTIONS), (_OF_APIS, tuple(IMPLICIT_APIS.values()))):
        for ending, kind in endings.items():
            owner = name.removesuffix(ending)
            made_of = IMPLICIT_APIS.get(owner) or _kind(resources.get(owner))
            if owner != name and made_of in kinds:
                return {"Type": kind, "Properties": {"Name": _STAGES[kind]}} if kind in _STAGES else {"Type": kind}
    return None


def _kind(resource: Any) -> str:
    return str(resource.get("Type")) if isinstance(resource, dict) else ""


def arn_of(place: Place, kind: str, name: str) -> str:
    """Return the ARN of a resource of a kind."""
    if kind in _GLOBAL:
        return f"{_GLOBAL[kind]}{name}"
    service, beginning = _ARNS.get(kind, (kind.split("::")[1].lower() if "::" in kind else "aws", ""))
    return place.arn(service, f"{beginning}{name}")
