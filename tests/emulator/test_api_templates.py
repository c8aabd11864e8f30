"""Reading APIs from templates: what is read, what is named, and which errors there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.emulator.specs import TemplateError
from tests.emulator.fidelity import documented, own
from tests.emulator.gateways import Served

Serve = Callable[..., Served]

API = """
Conditions: {Never: !Equals [a, b]}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Environment: {Variables: {URL: !Sub 'https://${ServerlessRestApi}.execute-api', ID: !Ref Api}}
      Events:
        One: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /one, Method: get}}
        Two: {Type: Api, Properties: {Path: /two, Method: x-amazon-apigateway-any}}
        Gone: {Type: Api, Properties: {RestApiId: !Ref Absent, Path: /gone, Method: get, Auth: {Authorizer: A}}}
  Absent: {Type: AWS::Serverless::Api, Condition: Never, Properties: {StageName: off}}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      Name: its-name
      StageName: dev
      GatewayResponses: {DEFAULT_4XX: {ResponseParameters: {}}}
      DefinitionBody: {Fn::Transform: {Name: AWS::Include}}
      BinaryMediaTypes: ['*~1*']
      Auth: {UsagePlan: {CreateUsagePlan: PER_API}, ResourcePolicy: {IpRangeBlacklist: [10.0.0.0/8]}}
"""


@documented("SAM: AWS::Serverless::Api, and the API that events without RestApiId get")
def test_events_become_the_routes_of_named_and_implicit_rest_apis(serve: Serve) -> None:
    template = serve(API).template
    assert {(api.name, api.stage): [route.key for route in api.routes] for api in template.apis} == {
        ("Api", "dev"): ["GET /one"],
        ("ServerlessRestApi", "Prod"): ["ANY /two"],
    }
    assert template.functions["F"].variables == {"URL": "https://ServerlessRestApi.execute-api", "ID": "Api"}
    assert template.apis[0].rest is not None
    assert template.apis[0].rest.binary == {"*/*"}


@own("warnings")
def test_what_of_an_api_is_not_emulated_is_named(serve: Serve) -> None:
    told = " ".join(serve(API).template.warnings)
    assert "Api: GatewayResponses is not emulated" in told
    assert "Api: DefinitionBody is not emulated" in told
    assert "Api: Auth.ResourcePolicy is not emulated" in told
    assert "Api: Auth.UsagePlan is not emulated" in told
    assert "the condition of Absent does not hold" in told
    assert "Api: AWS::Serverless::Api" not in told


ONE = """
F:
  Type: AWS::Serverless::Function
  Properties: {CodeUri: code, Handler: app.handler, Events: {E: {Type: %s, Properties: {%s}}}}
Api: {Type: AWS::Serverless::Api, Properties: {StageName: Prod, %s}}
"""


@pytest.mark.parametrize(
    ("kind", "event", "api", "told"),
    [
        ("Api", "Method: get", "", "F: an event of type Api needs Path"),
        ("Api", "Path: /a", "", "F: an event of type Api needs Method"),
        ("Api", "Path: a, Method: get", "", "F: Path a must begin with /"),
        ("Api", "Path: /a, Method: get, Auth: {Authorizer: A}", "", "authorizer A is not declared on ServerlessRest"),
        ("HttpApi", "PayloadFormatVersion: '3.0'", "", "F: PayloadFormatVersion 3.0 must be 1.0 or 2.0"),
        ("Api", "RestApiId: !Ref Api, Path: /a, Method: get", "Cors: true", "Api: Cors must be an origin"),
        (
            "Api",
            "RestApiId: !Ref Api, Path: /a, Method: get, Auth: {Authorizer: A}",
            "Auth: {Authorizers: {A: {Identity: {Header: a}}}}",
            "Api: authorizer A has none of FunctionArn, UserPoolArn and JwtConfiguration",
        ),
    ],
)
@own("errors")
def test_an_error_of_an_api_names_resource_and_property(
    serve: Serve, kind: str, event: str, api: str, told: str
) -> None:
    with pytest.raises(TemplateError, match=told):
        serve(ONE % (kind, event, api))
