"""What the parameters of template.yaml turn on, and which of them do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.emulator.specs import Place
from local.emulator.template.document import read_document
from local.emulator.template.intrinsics import Resolver

DOCUMENT = read_document(Path(__file__).parents[2] / "template.yaml")
TEMPLATE = DOCUMENT.content
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({"SnapStart": "false", "SearchProvisioned": "1", "MemoriesProvisioned": "2"}, None),
        ({"SnapStart": "true"}, None),
        ({"SnapStart": "true", "SearchProvisioned": "1"}, "SnapStartOrProvisioned"),
        ({"SnapStart": "true", "MemoriesProvisioned": "1"}, "SnapStartOrProvisioned"),
        ({"DomainName": "api.example.com"}, "DomainNeedsCertificate"),
        ({"DomainName": "api.example.com", "CertificateArn": "arn:x"}, None),
        ({"VpcEndpoints": "true"}, "EndpointsNeedVpc"),
        ({"VpcEndpoints": "true", "VpcId": "vpc-1", "VpcSubnetIds": "subnet-1"}, None),
        ({}, None),
    ],
)
def test_a_rule_refuses_parameters_that_do_not_go_together(given: dict[str, str], broken: str | None) -> None:
    resolver = Resolver(DOCUMENT, Place(), given)

    def breaks(rule: dict[str, Any]) -> bool:
        asked = resolver.resolve(rule["RuleCondition"])
        return bool(asked) and not all(resolver.resolve(one["Assert"]) for one in rule["Assertions"])

    assert [name for name, rule in TEMPLATE["Rules"].items() if breaks(rule)] == ([broken] if broken else [])


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, set()),
        ({"VpcSubnetIds": "subnet-1", "VpcSecurityGroupIds": "sg-1"}, set()),
        ({"VpcRouteTableIds": "rtb-1", "VpcId": "vpc-1"}, {"DynamoEndpoint"}),
        ({"VpcEndpoints": "true"}, {"SqsEndpoint", "EndpointsSecurityGroup"}),
        ({"VpcEndpoints": "true", "LlmKeySecret": "arn:x"},
         {"SqsEndpoint", "EndpointsSecurityGroup", "SecretsEndpoint"}),
        ({"LlmKeySecret": "arn:x"}, set()),
        ({"DomainName": "api.example.com"}, {"Domain", "DomainMapping"}),
        ({"DomainName": "api.example.com", "HostedZoneId": "Z1"}, {"Domain", "DomainMapping", "DomainRecord"}),
        ({"HostedZoneId": "Z1", "BasePath": "memory"}, set()),
    ],
)  # fmt: skip
def test_endpoints_and_a_domain_are_only_there_when_asked_for(given: dict[str, str], made: set[str]) -> None:
    resolver = Resolver(DOCUMENT, Place(), given)
    optional = ("AWS::EC2::", "AWS::ApiGatewayV2::", "AWS::Route53::")
    named = {name: one["Condition"] for name, one in RESOURCES.items() if one["Type"].startswith(optional)}
    assert {name for name, condition in named.items() if resolver.resolve({"Condition": condition})} == made


def test_an_endpoint_lets_the_functions_in_and_nobody_else() -> None:
    (ingress,) = RESOURCES["EndpointsSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == {"Fn::Select": [0, {"Ref": "VpcSecurityGroupIds"}]}
    assert (ingress["FromPort"], ingress["ToPort"]) == (443, 443)


def test_the_application_and_the_domain_know_the_same_base_path() -> None:
    mapping = RESOURCES["DomainMapping"]["Properties"]
    assert mapping["ApiMappingKey"]["Fn::If"][1] == {"Ref": "BasePath"}
    assert TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["FORGETLESS_BASE_PATH"] == {"Ref": "BasePath"}


def test_provisioned_concurrency_is_only_there_when_asked_for() -> None:
    for name in ("Search", "Memories"):
        config = RESOURCES[f"{name}Function"]["Properties"]["ProvisionedConcurrencyConfig"]
        kept = {"ProvisionedConcurrentExecutions": {"Ref": f"{name}Provisioned"}}
        assert config == {"Fn::If": [f"Provision{name}", kept, {"Ref": "AWS::NoValue"}]}
