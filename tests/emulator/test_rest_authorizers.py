"""Lambda authorizers of REST APIs: what they are asked, what their answers mean, and how long those count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.emulator.invocation import InvokeResult, not_run_result
from local.emulator.specs import TemplateError
from tests.emulator.fidelity import assumed, documented, own, read
from tests.emulator.gateways import REGION, Function, Served, raised

Serve = Callable[..., Served]
ARN = f"arn:aws:execute-api:{REGION}:123456789012:api/Prod/GET"

RESOURCES = """
F:
  Type: AWS::Serverless::Function
  Properties:
    CodeUri: code
    Handler: app.handler
    Events:
      One: {Type: Api, Properties: {RestApiId: !Ref Api, Path: '/pets/{id}', Method: get}}
      Two: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /other, Method: get}}
      Open: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /open, Method: get, Auth: {Authorizer: NONE}}}
Guard: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.guard, FunctionName: the-guard}}
Api:
  Type: AWS::Serverless::Api
  Properties:
    StageName: Prod
    Cors: "'*'"
    Auth:
      DefaultAuthorizer: Mine
      Authorizers: {Mine: {FunctionArn: !GetAtt Guard.Arn, %s}}
"""
TOKEN = RESOURCES % "Identity: {Header: X-Token, ValidationExpression: 'Bearer .+'}"
REQUEST = RESOURCES % "FunctionPayloadType: REQUEST, Identity: {Headers: [X-Key], QueryStrings: [Tenant]}"
GOOD = {"x-token": "Bearer good"}


def policy(effect: str = "Allow", resource: Any = "*", **more: Any) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}} | more


def refusal(served: Served, path: str = "/pets/6", **headers: str) -> tuple[int, Any, str]:
    answer = served.ask(path, headers={name.replace("_", "-"): value for name, value in headers.items()} or GOOD)
    return answer.status_code, answer.json(), answer.headers.get("x-amzn-errortype", "")


@documented("API Gateway: api-gateway-lambda-authorizer-input")
def test_a_token_authorizer_gets_the_token_and_the_method_arn(serve: Serve) -> None:
    served = serve(TOKEN, Guard=policy())
    served.event("/Prod/pets/6", headers=GOOD)
    event = {"type": "TOKEN", "methodArn": f"{ARN}/pets/6", "authorizationToken": "Bearer good"}
    assert served.functions["Guard"].events == [event]


@documented("API Gateway: api-gateway-lambda-authorizer-input")
def test_a_request_authorizer_gets_the_request_without_its_body(serve: Serve) -> None:
    served = serve(REQUEST, Guard=policy())
    served.event("/pets/6?Tenant=a", headers={"x-key": "k"})
    asked = served.functions["Guard"].events[0]
    assert (asked["type"], asked["methodArn"]) == ("REQUEST", f"{ARN}/pets/6")
    assert (asked["resource"], asked["path"], asked["httpMethod"]) == ("/pets/{id}", "/pets/6", "GET")
    assert (asked["pathParameters"], asked["multiValueQueryStringParameters"]) == ({"id": "6"}, {"Tenant": ["a"]})
    assert asked["requestContext"]["identity"]["sourceIp"]
    assert not {"body", "isBase64Encoded"} & set(asked)


@documented("API Gateway: api-gateway-lambda-authorizer-output")
def test_the_context_of_an_authorizer_reaches_the_function_as_texts(serve: Serve) -> None:
    context = {"text": "a", "number": 1, "truth": True}
    made = serve(TOKEN, Guard=policy(context=context)).event("/pets/6", headers=GOOD)
    assert made["requestContext"]["authorizer"] == {
        "text": "a", "number": "1", "truth": "true", "principalId": "me", "integrationLatency": 0,
    }  # fmt: skip


@pytest.mark.parametrize("headers", [{"x-other": "1"}, {"x-token": ""}, {"x-token": "Basic abc"}])
@documented("API Gateway: configure-api-gateway-lambda-authorization")
def test_without_a_token_that_fits_the_expression_the_authorizer_is_not_asked(
    serve: Serve, headers: dict[str, str]
) -> None:
    served = serve(TOKEN, Guard=policy())
    answer = served.ask("/pets/6", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["x-amzn-errortype"] == "UnauthorizedException"
    assert served.functions["Guard"].events == []


@documented("API Gateway: configure-api-gateway-lambda-authorization")
def test_without_one_of_its_identity_sources_a_request_authorizer_is_not_asked(serve: Serve) -> None:
    served = serve(REQUEST, Guard=policy())
    assert refusal(served, x_key="k")[0] == 401
    assert refusal(served, "/pets/6?tenant=a", x_key="k")[0] == 401
    assert served.functions["Guard"].events == []


@pytest.mark.parametrize(
    ("answer", "status", "body", "kind"),
    [
        (policy("Deny"), 403, {"Message": "User is not authorized to access this resource with an explicit deny"},
         "AccessDeniedException"),
        (policy("Allow", f"{ARN}/other"), 403, {"Message": "User is not authorized to access this resource"},
         "AccessDeniedException"),
        (raised("Unauthorized"), 401, {"message": "Unauthorized"}, "UnauthorizedException"),
        (raised("Unauthorized: no"), 500, {"message": None}, "AuthorizerConfigurationException"),
        ({"isAuthorized": True}, 500, {"message": None}, "AuthorizerConfigurationException"),
        (b"null", 500, {"message": None}, "AuthorizerConfigurationException"),
        (policy(principalId=None), 500, {"message": None}, "AuthorizerConfigurationException"),
        (policy(context={"a": [1]}), 500, {"message": None}, "AuthorizerConfigurationException"),
        (policy(policyDocument={}), 500, {"message": None}, "AuthorizerConfigurationException"),
    ],
)  # fmt: skip
@read("aws/chalice: chalice/local.py has the bodies; github.com/auth0-samples has the 401")
def test_an_authorizer_refuses_or_fails_in_these_words(
    serve: Serve, answer: Any, status: int, body: dict[str, Any], kind: str
) -> None:
    served = serve(TOKEN, Guard=answer)
    assert refusal(served) == (status, body, kind)
    assert served.functions["F"].events == []


@own("what a function that cannot run here answers")
def test_an_authorizer_that_cannot_run_here_says_why(serve: Serve) -> None:
    served = serve(TOKEN, Guard=not_run_result("Guard", "no code"))
    assert refusal(served)[:2] == (500, {"message": "Guard is not run here: no code"})


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True),
        (f"{ARN}/pets/*", True),
        (f"{ARN}/pets/?", True),
        ([f"{ARN}/other", f"{ARN}/pets/6"], True),
        (f"{ARN.replace('Prod', '*')}/*", True),
        (f"{ARN.replace('GET', 'POST')}/pets/6", False),
        (f"{ARN}/pets", False),
    ],
)
@documented("API Gateway: api-gateway-control-access-using-iam-policies-to-invoke-api")
def test_a_policy_names_resources_with_wildcards(serve: Serve, resource: Any, allowed: bool) -> None:
    served = serve(TOKEN, Guard=policy(resource=resource))
    assert served.ask("/Prod/pets/6", headers=GOOD).status_code == (200 if allowed else 403)


@documented("API Gateway: apigateway-use-lambda-authorizer, caching")
def test_a_policy_is_kept_for_five_minutes_and_read_anew_for_each_route(serve: Serve) -> None:
    served = serve(TOKEN, Guard=lambda event: policy(resource=event["methodArn"]))
    assert served.template.apis[0].routes[0].authorizer.ttl == 300  # type: ignore[union-attr]
    assert [served.ask(path, headers=GOOD).status_code for path in ("/pets/6", "/pets/6", "/other")] == [200, 200, 403]
    assert served.ask("/other", headers={"x-token": "Bearer else"}).status_code == 200
    assert len(served.functions["Guard"].events) == 2


@documented("API Gateway: apigateway-use-lambda-authorizer, caching")
def test_reauthorize_every_zero_asks_each_time_and_needs_no_identity_source(serve: Serve) -> None:
    uncached = "FunctionPayloadType: REQUEST, Identity: {ReauthorizeEvery: 0}"
    served = serve(RESOURCES % uncached, Guard=policy())
    assert [served.ask("/other").status_code for _ in range(2)] == [200, 200]
    assert len(served.functions["Guard"].events) == 2


@assumed("only answers are kept, and an error is none")
def test_an_error_of_an_authorizer_is_not_kept(serve: Serve) -> None:
    answers: list[InvokeResult | dict[str, Any]] = [raised("Unauthorized"), policy()]
    served = serve(TOKEN, Guard=lambda event: answers.pop(0))
    assert [served.ask("/other", headers=GOOD).status_code for _ in range(2)] == [401, 200]


@documented("SAM: ApiFunctionAuth")
def test_a_route_of_a_rest_api_may_go_without_the_default_authorizer(serve: Serve) -> None:
    served = serve(TOKEN, Guard=policy("Deny"))
    assert "authorizer" not in served.event("/open")["requestContext"]


@documented("SAM: ApiAuth, AddDefaultAuthorizerToCorsPreflight")
def test_the_default_authorizer_protects_options_unless_told_not_to(serve: Serve) -> None:
    assert serve(TOKEN, Guard=policy()).ask("/other", "OPTIONS").status_code == 401
    spared = TOKEN.replace(
        "DefaultAuthorizer: Mine", "DefaultAuthorizer: Mine\n      AddDefaultAuthorizerToCorsPreflight: false"
    )
    answer = serve(spared, Guard=policy()).ask("/other", "OPTIONS")
    assert answer.headers["access-control-allow-methods"] == "GET,OPTIONS"


@documented("API Gateway: api-gateway-api-key-source, AUTHORIZER")
def test_an_authorizer_may_give_the_api_key(serve: Serve) -> None:
    keyed = TOKEN.replace("Path: /other, Method: get", "Path: /other, Method: get, Auth: {ApiKeyRequired: true}")
    assert refusal(serve(keyed, Guard=policy()), "/other")[1] == {"message": "Forbidden"}
    made = serve(keyed, Guard=policy(usageIdentifierKey="k")).event("/other", headers=GOOD)
    assert made["requestContext"]["identity"]["apiKey"] == "k"


@own("errors")
def test_an_expression_that_is_none_names_the_api(serve: Serve) -> None:
    with pytest.raises(TemplateError, match=r"Api: authorizer Mine: ValidationExpression"):
        serve(TOKEN.replace("Bearer .+", "("))


@own("warnings")
def test_an_authorizer_of_another_project_is_named(serve: Serve) -> None:
    elsewhere = TOKEN.replace("!GetAtt Guard.Arn", "'arn:aws:lambda:eu-x-1:1:function:theirs'")
    served = serve(elsewhere)
    assert "authorizer Mine: its function is not in this template (theirs)" in " ".join(served.template.warnings)
    assert refusal(served)[:2] == (500, {"message": "authorizer Mine: its function is not here (theirs)"})


GLOBAL = """
Globals:
  %(globals)s:
    Auth:
      DefaultAuthorizer: Mine
      Authorizers:
        Mine: {FunctionArn: !GetAtt Guard.Arn, AuthorizerPayloadFormatVersion: '1.0', Identity: {%(identity)s}}
    %(cors)s
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Events: {All: {Type: %(globals)s, Properties: {Path: /a, Method: get}}}
  Guard: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.guard}}
"""


@pytest.mark.parametrize(
    ("kind", "identity", "cors", "status"),
    [
        ("Api", "Header: X-Key", "Cors: \"'https://a.example'\"", 200),
        (
            "HttpApi",
            "Headers: [X-Key]",
            "CorsConfiguration: {AllowOrigins: 'https://a.example', AllowMethods: [GET]}",
            204,
        ),
    ],
)
@documented("SAM: Globals")
def test_globals_reach_the_apis_that_sam_makes(serve: Serve, kind: str, identity: str, cors: str, status: int) -> None:
    served = serve(GLOBAL % {"globals": kind, "identity": identity, "cors": cors}, Guard=Function(policy()))
    assert served.ask("/a").status_code == 401
    assert served.ask("/a", headers={"x-key": "k"}).status_code == 200
    asked = {"origin": "https://a.example", "access-control-request-method": "GET", "x-key": "k"}
    preflight = served.ask("/a", "OPTIONS", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (status, "https://a.example")
