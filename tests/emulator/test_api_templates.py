"""Reading APIs from templates: what is read, what is named, and which errors there are."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from local.emulator.specs import TemplateError
from tests.emulator.fidelity import documented, own
from tests.emulator.gateways import Served
from tests.emulator.odd_templates import read_with_odd_parts

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
    assert "Api: DefinitionBody is not read: Fn::Transform" in told
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


BODY = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events: {One: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /one, Method: get}}}
Guard: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.guard}}
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: Prod
    DefinitionBody:
      swagger: '2.0'
      x-amazon-apigateway-binary-media-types: [image/png]
      securityDefinitions:
        key: {type: apiKey, name: x-api-key, in: header}
        pool: {type: apiKey, name: Token, in: header, x-amazon-apigateway-authorizer: {type: cognito_user_pools}}
        guard:
          type: apiKey
          name: X-Token
          x-amazon-apigateway-authorizer:
            type: token
            authorizerResultTtlInSeconds: 0
            authorizerUri: !Sub 'arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${Guard.Arn}/invocations'
        other: {x-amazon-apigateway-authorizer: {type: request}}
      paths:
        /one: {get: {x-amazon-apigateway-integration: {type: aws, uri: 'arn:aws:apigateway:x:sqs:path/q'}}}
        /queue: {post: {x-amazon-apigateway-integration: {type: aws, uri: 'arn:aws:apigateway:x:sqs:path/q'}}}
        /gone: {get: {x-amazon-apigateway-integration: {type: aws_proxy, uri: !ImportValue elsewhere}}}
        /odd:
          get:
            security: [{other: []}]
            x-amazon-apigateway-integration: &function
              type: AWS_PROXY
              uri: !Sub 'arn:aws:apigateway:x:lambda:path/2015-03-31/functions/${F.Arn}:live/invocations'
        '/pets/{id}':
          x-amazon-apigateway-any-method: {x-amazon-apigateway-integration: *function}
          options:
            x-amazon-apigateway-integration:
              type: mock
              responses: {default: {statusCode: '200', responseParameters: {
                  method.response.header.Access-Control-Allow-Origin: "'*'"}}}
        /kept: {get: {security: [{key: []}], x-amazon-apigateway-integration: *function}}
        /mine: {get: {security: [{pool: []}], x-amazon-apigateway-integration: *function}}
        /guarded: {get: {security: [{guard: []}], x-amazon-apigateway-integration: *function}}
"""


@documented("API Gateway: api-gateway-swagger-extensions-integration")
def test_proxy_integrations_of_a_definition_body_are_routes(serve: Serve) -> None:
    served = serve(BODY)
    assert served.event("/Prod/pets/6", "PUT")["pathParameters"] == {"id": "6"}
    assert served.event("/one")["resource"] == "/one"
    assert served.ask("/pets/6", "OPTIONS").headers["access-control-allow-origin"] == "*"
    assert served.ask("/kept").json() == {"message": "Forbidden"}
    assert served.ask("/mine").status_code == 401
    assert served.ask("/mine", headers={"token": "a"}).status_code == 501
    assert served.ask("/guarded", headers={"x-token": "a"}).json() == {"message": None}
    assert served.functions["Guard"].events[0]["authorizationToken"] == "a"
    assert served.template.apis[0].rest is not None
    assert served.template.apis[0].rest.binary == {"image/png"}


@own("warnings")
def test_what_of_a_definition_body_is_not_served_is_named(serve: Serve) -> None:
    served = serve(BODY)
    told = " ".join(served.template.warnings)
    assert "Api: DefinitionBody: POST /queue is left out: an integration of type aws is not emulated" in told
    assert "Api: DefinitionBody: GET /gone is left out: Fn::ImportValue elsewhere" in told
    assert "Api: DefinitionBody: GET /odd is left out: its authorizer other of type request is not emulated" in told
    assert "GET /one" not in told
    assert {served.ask(path).status_code for path in ("/queue", "/gone", "/odd")} == {403}


HTTP_BODY = """
F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.handler, FunctionName: its-name}}
Api:
  Type: AWS::Serverless::HttpApi
  Properties:
    DefinitionBody:
      openapi: 3.0.1
      paths:
        /a: {get: {x-amazon-apigateway-integration: {type: aws_proxy, payloadFormatVersion: '2.0', uri: !GetAtt F.Arn}}}
        /$default:
          x-amazon-apigateway-any-method:
            x-amazon-apigateway-integration:
              {type: aws_proxy, payloadFormatVersion: '2.0', timeoutInMillis: 5000, uri: !Sub '${F.Arn}/invocations'}
"""


@documented("API Gateway: api-gateway-swagger-extensions-integration")
def test_proxy_integrations_of_an_http_apis_document_are_routes(serve: Serve) -> None:
    served = serve(HTTP_BODY)
    assert served.event("/a")["routeKey"] == "GET /a"
    assert served.event("/b")["routeKey"] == "$default"
    assert served.template.apis[0].routes[1].time_limit == 5


@pytest.mark.parametrize("resources", [BODY, HTTP_BODY])
@own("errors")
def test_whatever_stands_in_an_api_is_read_or_an_error_names_the_file(
    project: Callable[..., Path], resources: str
) -> None:
    path = project(f"Resources:{textwrap.indent(textwrap.dedent(resources), '  ')}", code__app="")
    assert read_with_odd_parts(path) > 50
